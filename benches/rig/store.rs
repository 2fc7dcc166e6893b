//! The store that Homing begins with: every key as a mapping.
//!
//! Owns filling it. Relies on the mapping store's own shipments, so the file is what a router would have written.

use crate::keys::{Key, row};
use anyhow::Result;
use homing_mapping_store::SHIPMENT_MAX;
use homing_mapping_store::store::Shipment;
use std::path::{Path, PathBuf};

/// A new SQLite file with these keys.
pub fn file(file: &Path, keys: &[Key]) -> Result<PathBuf> {
    fill(&format!("sqlite:{}", file.display()), keys)?;
    Ok(file.to_owned())
}

/// Puts these keys into a store.
pub fn fill(url: &str, keys: &[Key]) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let store = homing_mapping_store::open(url).await?;
        for keys in keys.chunks(SHIPMENT_MAX) {
            let shipment = Shipment {
                router: "bench".into(),
                mappings: keys.iter().map(row).collect(),
                ..Shipment::default()
            };
            store.ship(&shipment).await?;
        }
        anyhow::Ok(())
    })?;
    // The last connection writes the log back into the file when it closes.
    runtime.shutdown_timeout(std::time::Duration::from_secs(5));
    Ok(())
}
