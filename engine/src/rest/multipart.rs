//! Multipart bodies of deployments and variable uploads.

use super::error::Refused;
use axum::extract::Multipart;
use axum::extract::multipart::MultipartRejection;

/// One part.
pub(super) struct Part {
    pub(super) name: String,
    pub(super) filename: Option<String>,
    pub(super) media_type: Option<String>,
    pub(super) bytes: Vec<u8>,
}

/// Most parts of one body.
const PARTS_MAX: usize = 1_000;

/// Reads all parts; of parts with equal names the last one counts.
pub(super) async fn parts(
    multipart: Result<Multipart, MultipartRejection>,
) -> Result<Vec<Part>, Refused> {
    let mut multipart = multipart.map_err(|_| Refused::media_type())?;
    let mut out: Vec<Part> = Vec::new();
    let broken =
        |e: axum::extract::multipart::MultipartError| Refused::body(e.body_text(), e.status());
    while let Some(field) = multipart.next_field().await.map_err(broken)? {
        let name = field.name().unwrap_or_default().to_owned();
        let filename = field.file_name().map(str::to_owned);
        let media_type = field.content_type().map(str::to_owned);
        let bytes = field.bytes().await.map_err(broken)?.to_vec();
        out.retain(|part| part.name != name);
        if out.len() >= PARTS_MAX {
            return Err(Refused::invalid(format!(
                "a body may have {PARTS_MAX} parts"
            )));
        }
        out.push(Part {
            name,
            filename,
            media_type,
            bytes,
        });
    }
    Ok(out)
}
