//! Each question to the product's rules is asked once, and its answer remembered: they are pure, and a world asks the same
//! ones millions of times.
//!
//! Owns the memory of one thread. Must not answer anything itself.

/// The answer to a question with this key, asked only if this thread has not asked it before. The key must name everything
/// that the answer depends on, the sabotage too.
macro_rules! once {
    ($key:expr, $of:ty => $answer:ty, $ask:expr) => {{
        thread_local! {
            static KNOWN: std::cell::RefCell<std::collections::HashMap<$of, $answer>> =
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
