//! What asker and router send each other.
//!
//! Owns the bodies and the proof that an answer is that router's, of this process, to this very question: a keyed hash.
//! Must not send anything. The key is in the store, where routers and agents read it while there is one.

use crate::decide::attest::{Question, Refusal};
use serde::{Deserialize, Serialize};

/// Longest question: a thousand sites with long names.
pub const QUESTION_BYTES_MAX: usize = 256 * 1024;
/// Longest answer that is read.
pub const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// Where it is asked.
pub const PATH: &str = "/v1/attestations";

/// A question of one asker about some sites.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Never the same twice: an answer to an earlier question is none to this one.
    pub nonce: String,
    /// What is to be attested.
    pub questions: Vec<Question>,
}

/// What a router says to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// Its name.
    pub router: String,
    /// Hash of the body that asked.
    pub of: String,
    /// In the order of the questions: nothing where it attests.
    pub answers: Vec<Option<Refusal>>,
}

/// An answer with its proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// `Said` in JSON.
    pub said: String,
    /// Of `said`, with the key.
    pub mac: String,
}

/// The key of a process.
#[derive(Clone)]
pub struct Key([u8; blake3::KEY_LEN]);

impl Key {
    /// One that nobody can guess.
    pub fn fresh() -> Key {
        let mut hasher = blake3::Hasher::new();
        for _ in 0..2 {
            hasher.update(uuid::Uuid::new_v4().as_bytes());
        }
        Key(*hasher.finalize().as_bytes())
    }

    /// Reads it from hex.
    pub fn parse(text: &str) -> Option<Key> {
        let hash = blake3::Hash::from_hex(text).ok()?;
        Some(Key(*hash.as_bytes()))
    }

    /// In hex.
    pub fn text(&self) -> String {
        blake3::Hash::from_bytes(self.0).to_hex().to_string()
    }

    /// Signs what is said.
    pub fn sign(&self, said: &Said) -> Result<Signed, serde_json::Error> {
        let said = serde_json::to_string(said)?;
        let mac = blake3::keyed_hash(&self.0, said.as_bytes()).to_hex();
        Ok(Signed {
            said,
            mac: mac.to_string(),
        })
    }

    /// What was said, if it was signed with this key and answers this body.
    pub fn open(&self, signed: &Signed, asked: &[u8]) -> Option<Said> {
        let mac = blake3::Hash::from_hex(&signed.mac).ok()?;
        // Hashes are compared in constant time.
        let good = blake3::keyed_hash(&self.0, signed.said.as_bytes()) == mac;
        let said: Said = serde_json::from_str(&signed.said).ok()?;
        (good && said.of == digest(asked)).then_some(said)
    }
}

/// By which an answer names its question.
pub fn digest(body: &[u8]) -> String {
    blake3::hash(body).to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(of: &[u8]) -> Said {
        Said {
            router: "r1".into(),
            of: digest(of),
            answers: vec![None, Some(Refusal::Newer)],
        }
    }

    #[test]
    fn an_answer_counts_for_its_own_question_and_from_its_own_process_only() {
        let key = Key::fresh();
        let signed = key.sign(&said(b"question")).unwrap();
        let again = Key::parse(&key.text()).unwrap();
        assert_eq!(again.open(&signed, b"question"), Some(said(b"question")));
        assert_eq!(again.open(&signed, b"another question"), None);
        assert_eq!(Key::fresh().open(&signed, b"question"), None);
        let forged = Signed {
            said: signed.said.replace("newer", "differs"),
            ..signed
        };
        assert_eq!(again.open(&forged, b"question"), None);
    }
}
