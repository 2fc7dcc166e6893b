//! Where in its stream of requests a connection stands.
//!
//! Owns the walk from head to body to the next head. Must not read, wait or answer: bytes in, verdict out.

use crate::gate::Limits;
use crate::gate::chunked::Chunked;
use crate::gate::head::{self, Follows};
use crate::gate::rule::Rule;

/// What may be done with the bytes shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The counted ones are fine; more is needed to judge the others.
    Passed,
    /// The head behind the counted ones is refused.
    Refused(Rule),
    /// The body behind the counted ones is refused; there is no way to answer but to break off.
    Broken(Rule),
}

/// What a connection is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WaitsFor {
    /// A next request.
    Request,
    /// The rest of a head.
    Head,
    /// The rest of a body.
    Body,
    /// Nothing that we hurry.
    Nothing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Head,
    Length(u64),
    Chunks(Chunked),
    Upgrade,
    Tunnel,
}

/// The position, and the limits of a head.
pub(super) struct Judge {
    at: At,
    limits: Limits,
    head_bytes: usize,
    /// Bytes of an unfinished head that were searched for its end before.
    searched: usize,
    /// Heads admitted so far.
    heads: usize,
}

const END: &[u8] = b"\r\n\r\n";

impl Judge {
    pub(super) fn new(limits: Limits, head_bytes: usize) -> Judge {
        Judge {
            at: At::Head,
            limits,
            head_bytes,
            searched: 0,
            heads: 0,
        }
    }

    /// Judges the bytes that were not passed before: how many of them pass, and what is to be done with the next.
    pub(super) fn look(&mut self, bytes: &[u8]) -> (usize, Verdict) {
        let mut passed = 0;
        loop {
            let rest = &bytes[passed..];
            if rest.is_empty() {
                return (passed, Verdict::Passed);
            }
            match self.at {
                At::Head => match self.head(rest) {
                    Ok(Some(count)) => passed += count,
                    Ok(None) => return (passed, Verdict::Passed),
                    Err(rule) => return (passed, Verdict::Refused(rule)),
                },
                At::Length(left) => {
                    let here = left.min(rest.len() as u64);
                    self.at = if here == left {
                        At::Head
                    } else {
                        At::Length(left - here)
                    };
                    passed += usize::try_from(here).unwrap_or(usize::MAX);
                }
                At::Chunks(mut chunks) => match chunks.take(rest) {
                    Ok(count) => {
                        self.at = if chunks.is_done() {
                            At::Head
                        } else {
                            At::Chunks(chunks)
                        };
                        passed += count;
                    }
                    Err(rule) => return (passed, Verdict::Broken(rule)),
                },
                At::Upgrade => return (passed, Verdict::Passed),
                At::Tunnel => return (bytes.len(), Verdict::Passed),
            }
        }
    }

    fn head(&mut self, bytes: &[u8]) -> Result<Option<usize>, Rule> {
        // A leading empty line must not be taken for the end of a head.
        let from = self
            .searched
            .saturating_sub(END.len() - 1)
            .max(if bytes.starts_with(b"\r\n") { 2 } else { 0 });
        let Some(found) = memchr::memmem::find(bytes.get(from..).unwrap_or_default(), END) else {
            if head::has_bare_line_end(bytes, self.searched) {
                return Err(Rule::LineEnd);
            }
            if bytes.len() > self.head_bytes {
                return Err(self.too_long(bytes));
            }
            self.searched = bytes.len();
            return Ok(None);
        };
        self.searched = 0;
        let end = from + found + END.len();
        if end > self.head_bytes {
            return Err(self.too_long(bytes));
        }
        let follows = head::inspect(&bytes[..end], self.limits)?;
        self.heads += 1;
        self.at = match follows {
            Follows::Nothing => At::Head,
            Follows::Length(length) => At::Length(length),
            Follows::Chunks => At::Chunks(Chunked::begin()),
            Follows::Upgrade if bytes.len() > end => return Err(Rule::UpgradePipelined),
            Follows::Upgrade => At::Upgrade,
        };
        Ok(Some(end))
    }

    /// A target that does not fit is the better explanation.
    fn too_long(&self, bytes: &[u8]) -> Rule {
        let line = memchr::memchr(b'\n', bytes).unwrap_or(bytes.len());
        if line > self.limits.target_bytes + 64 {
            Rule::TargetBytes
        } else {
            Rule::HeadBytes
        }
    }

    /// The number, from 1, of the request whose answer says whether the connection leaves HTTP.
    pub(super) fn upgrade(&self) -> Option<usize> {
        (self.at == At::Upgrade).then_some(self.heads)
    }

    pub(super) fn is_between_requests(&self) -> bool {
        matches!(self.at, At::Head | At::Tunnel)
    }

    /// The connection leaves HTTP.
    pub(super) fn tunnel(&mut self) {
        self.at = At::Tunnel;
    }

    /// The connection does not leave HTTP.
    pub(super) fn resume(&mut self) {
        self.at = At::Head;
    }

    /// What silence means now.
    pub(super) fn waits_for(&self, holds_part_of_a_head: bool) -> WaitsFor {
        match self.at {
            At::Head if holds_part_of_a_head => WaitsFor::Head,
            At::Head => WaitsFor::Request,
            At::Length(_) | At::Chunks(_) => WaitsFor::Body,
            At::Upgrade | At::Tunnel => WaitsFor::Nothing,
        }
    }
}
