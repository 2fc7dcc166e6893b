//! An answer that somebody has to know the delivery of: tasks that are locked for the client, for example.
//!
//! Owns the pieces and the receipt. The receipt leaves with the last piece; whoever then learns that the bytes went out
//! settles it. Dropped unsettled, at whatever step, it means that the client did not get the answer. Must not know what
//! follows from that.

use bytes::Bytes;
use std::sync::{Mutex, PoisonError};

/// The last piece is handed over when everything before it has gone, so a long answer must be cut.
const PIECE_BYTES: usize = 16 * 1024;

/// What follows when the client has got the answer; dropped: when it has not.
pub trait Debt: Send {
    /// The client has got it.
    fn settle(self: Box<Self>);
}

/// A debt on its way to whoever sees the bytes leave.
pub type Receipt = Box<dyn Debt>;

/// A whole answer with a debt on it.
pub struct Owed {
    bytes: Bytes,
    /// The lock is never waited for: a body has one owner. It is here because bodies must be `Sync`.
    receipt: Mutex<Option<Receipt>>,
}

impl Owed {
    /// This answer; the debt is settled when it has gone.
    pub fn new(bytes: Bytes, receipt: Receipt) -> Owed {
        Owed {
            bytes,
            receipt: Mutex::new(Some(receipt)),
        }
    }

    pub(super) fn left(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn piece(&mut self) -> Option<Bytes> {
        let size = self.bytes.len().min(PIECE_BYTES);
        (size > 0).then(|| self.bytes.split_to(size))
    }

    /// All of it, for a reader inside this process.
    pub fn into_bytes(self) -> Bytes {
        if let Some(receipt) = self
            .receipt
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
        {
            receipt.settle();
        }
        self.bytes
    }

    /// The receipt, once every piece has been taken.
    pub(super) fn receipt(&mut self) -> Option<Receipt> {
        let receipt = self
            .receipt
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        receipt.take_if(|_| self.bytes.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    struct Settled(Arc<AtomicBool>);

    impl Debt for Settled {
        fn settle(self: Box<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    #[test]
    fn the_receipt_leaves_with_the_last_piece() {
        let settled = Arc::new(AtomicBool::new(false));
        let bytes = Bytes::from(vec![b'x'; 2 * PIECE_BYTES + 1]);
        let mut owed = Owed::new(bytes, Box::new(Settled(Arc::clone(&settled))));
        let mut sizes = Vec::new();
        while let Some(piece) = owed.piece() {
            sizes.push(piece.len());
            assert!(owed.receipt.get_mut().unwrap().is_some());
            if owed.left() > 0 {
                assert!(owed.receipt().is_none());
            }
        }
        assert_eq!(sizes, [PIECE_BYTES, PIECE_BYTES, 1]);
        let receipt = owed.receipt().unwrap();
        assert!(owed.receipt().is_none());
        assert!(!settled.load(Ordering::Relaxed));
        receipt.settle();
        assert!(settled.load(Ordering::Relaxed));
    }
}
