//! Each question to the product's rules is asked once, and its answer remembered: they are pure, and a world asks the same
//! ones millions of times.
//!
//! Owns the memory of one thread. Must not answer anything itself.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// What was answered.
pub(crate) type Memory<Question, Answer> = HashMap<Question, Answer, BuildHasherDefault<Quick>>;

/// Keys are small, and nobody chooses them with bad intent.
#[derive(Default)]
pub(crate) struct Quick(u64);

impl Hasher for Quick {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(u64::from(value));
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(5) ^ value).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn finish(&self) -> u64 {
        // The map looks at the highest and at the lowest bits.
        self.0.rotate_left(26)
    }
}

/// The answer to a question with this key, asked only if this thread has not asked it before. The key must name everything
/// that the answer depends on, the sabotage too.
macro_rules! once {
    ($key:expr, $of:ty => $answer:ty, $ask:expr) => {{
        thread_local! {
            static KNOWN: std::cell::RefCell<crate::once::Memory<$of, $answer>> =
                std::cell::RefCell::default();
        }
        let key: $of = $key;
        let known = KNOWN.with_borrow(|known| known.get(&key).cloned());
        known.unwrap_or_else(|| {
            let answer: $answer = $ask;
            KNOWN.with_borrow_mut(|known| known.insert(key, answer.clone()));
            answer
        })
    }};
}
pub(crate) use once;
