//! How many bytes of answers all reads over several sites may hold in this router.
//!
//! Owns the counter. Must not know what the bytes are. Relies on limit `gather_bytes`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The counter.
#[derive(Debug, Default)]
pub struct Budget {
    held: AtomicUsize,
}

/// Bytes taken out of a budget; given back when it is dropped.
#[derive(Debug)]
pub struct Held(#[expect(dead_code, reason = "it is held for its end")] Share);

#[derive(Debug)]
struct Share {
    budget: Arc<Budget>,
    bytes: usize,
}

/// Bytes that are being taken while an answer arrives.
#[derive(Debug)]
pub struct Taking(Share);

impl Budget {
    /// Begins to take.
    pub fn taking(self: &Arc<Budget>) -> Taking {
        Taking(Share {
            budget: Arc::clone(self),
            bytes: 0,
        })
    }
}

impl Taking {
    /// Takes so many more. `false`: more is held now than the limit.
    pub fn take(&mut self, bytes: usize, limit: usize) -> bool {
        let Share {
            budget,
            bytes: mine,
        } = &mut self.0;
        let fits = budget
            .held
            .fetch_add(bytes, Ordering::Relaxed)
            .saturating_add(bytes)
            <= limit;
        *mine += bytes;
        fits
    }

    /// Keeps what was taken.
    pub fn keep(self) -> Held {
        Held(self.0)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_let_go_can_be_taken_again() {
        let budget = Arc::new(Budget::default());
        let mut one = budget.taking();
        assert!(one.take(6, 10));
        let one = one.keep();
        let mut two = budget.taking();
        assert!(!two.take(5, 10));
        drop(two);
        assert!(!budget.taking().take(5, 10));
        drop(one);
        assert!(budget.taking().take(10, 10));
    }
}
