//! The rules of the gate: a closed list, each with its name, its status and one sentence for the caller.
//!
//! Owns names and words. Must not look at a request.

use http::StatusCode;

macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $status:ident, $detail:literal;)*) => {
        /// Why a request goes no further.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Rule { $($(#[$doc])* $name),* }

        impl Rule {
            /// Every rule, in the order of its number.
            pub const ALL: &[Rule] = &[$(Rule::$name),*];
            /// The name in problem bodies, tests and docs.
            pub fn as_str(self) -> &'static str { match self { $(Rule::$name => $text),* } }
            /// The status of the answer.
            pub fn status(self) -> StatusCode { match self { $(Rule::$name => StatusCode::$status),* } }
            /// What is wrong, for the caller.
            pub fn detail(self) -> &'static str { match self { $(Rule::$name => $detail),* } }
        }
    };
}

rules! {
    /// A bare LF or CR.
    LineEnd = "line-end", BAD_REQUEST, "a line of the head does not end in CR LF";
    /// Anything below a space.
    ControlByte = "control-byte", BAD_REQUEST, "the head has a control byte";
    /// A line that begins with white space.
    FoldedLine = "folded-line", BAD_REQUEST, "a header is folded over lines, or white space stands before the first one";
    /// Not three parts with one space between.
    RequestLine = "request-line", BAD_REQUEST, "the request line is not METHOD, target and version with one space between";
    /// Not upper-case letters.
    Method = "method", BAD_REQUEST, "the method is not one to 32 upper-case letters";
    /// CONNECT, TRACE, TRACK.
    MethodRefused = "method-refused", BAD_REQUEST, "CONNECT and TRACE are not served here";
    /// Anything but 1.0 and 1.1.
    Version = "version", BAD_REQUEST, "the version is neither HTTP/1.0 nor HTTP/1.1";
    /// Not a token, or white space before the colon.
    HeaderName = "header-name", BAD_REQUEST, "a header's name is not a token followed by a colon";
    /// A name that some sites read as another one.
    HeaderLookalike = "header-lookalike", BAD_REQUEST, "a header with `_` would be read by some sites as one that only the router may set";
    /// No Host.
    HostMissing = "host-missing", BAD_REQUEST, "no Host header";
    /// Two Hosts.
    HostDouble = "host-double", BAD_REQUEST, "more than one Host header";
    /// Not `name[:port]`.
    HostOdd = "host-odd", BAD_REQUEST, "Host is not a name or address with an optional port";
    /// Host and the target's authority.
    HostDiffers = "host-differs", BAD_REQUEST, "Host and the target's authority differ";
    /// Not exactly one number.
    ContentLength = "content-length", BAD_REQUEST, "Content-Length is not exactly one plain decimal number";
    /// Both framings.
    LengthAndEncoding = "length-and-encoding", BAD_REQUEST, "Content-Length and Transfer-Encoding together";
    /// Anything but `chunked`.
    TransferEncoding = "transfer-encoding", BAD_REQUEST, "Transfer-Encoding is not exactly `chunked`, once";
    /// An HTTP/1.0 client cannot know it.
    EncodingOn10 = "encoding-on-1.0", BAD_REQUEST, "Transfer-Encoding on HTTP/1.0";
    /// Anything but `100-continue`.
    Expect = "expect", BAD_REQUEST, "Expect is not exactly `100-continue`, once";
    /// Neither a path nor `http://host/path`.
    TargetForm = "target-form", BAD_REQUEST, "the target is neither a path nor http://HOST/path";
    /// A byte that must be percent-encoded.
    TargetByte = "target-byte", BAD_REQUEST, "the target has a byte that must be percent-encoded";
    /// `#`.
    Fragment = "fragment", BAD_REQUEST, "the target has a fragment";
    /// `%` without two hexadecimal digits.
    TargetEscape = "target-escape", BAD_REQUEST, "the target has a % without two hexadecimal digits";
    /// `.` and `..` in any dress.
    DotSegment = "dot-segment", BAD_REQUEST, "the path has a dot segment, which sites read differently";
    /// `//`.
    EmptySegment = "empty-segment", BAD_REQUEST, "the path has an empty segment, which sites read differently";
    /// `;`.
    PathParameter = "path-parameter", BAD_REQUEST, "the path has a `;`, which some sites cut off; write %3B if it belongs to an id";
    /// `\`.
    Backslash = "backslash", BAD_REQUEST, "the path has a backslash, which some sites read as a slash";
    /// `%2f`, `%5c`.
    EncodedSlash = "encoded-slash", BAD_REQUEST, "the path has an encoded slash or backslash, which sites read differently";
    /// `%00` to `%1f`, `%7f`.
    EncodedControl = "encoded-control", BAD_REQUEST, "the path has an encoded control byte";
    /// `%252f` and its like.
    EncodedTwice = "encoded-twice", BAD_REQUEST, "the path has a slash, dot or control byte that is encoded twice";
    /// HTTP/2: what RFC 9113 8.2.2 forbids.
    ConnectionHeader = "connection-header", BAD_REQUEST, "a header that concerns only one HTTP/1.1 connection came over HTTP/2";
    /// Bytes behind a request that asks to leave HTTP.
    UpgradePipelined = "upgrade-pipelined", BAD_REQUEST, "bytes follow a request that asks for an upgrade, before its answer";
    /// A chunk's size line.
    ChunkSize = "chunk-size", BAD_REQUEST, "a chunk's size is not one to 15 hexadecimal digits and a line end";
    /// Too long, or not printable.
    ChunkExtension = "chunk-extension", BAD_REQUEST, "a chunk's extension is too long or not printable";
    /// The line end behind a chunk.
    ChunkEnd = "chunk-end", BAD_REQUEST, "a chunk is not followed by CR LF";
    /// A trailer that must stand in the head.
    Trailer = "trailer", BAD_REQUEST, "a trailer is malformed, or is a header that must not come behind the body";
    /// Limit `target_bytes`.
    TargetBytes = "target_bytes", URI_TOO_LONG, "limit target_bytes reached: the target is too long";
    /// Limit `head_bytes`.
    HeadBytes = "head_bytes", REQUEST_HEADER_FIELDS_TOO_LARGE, "limit head_bytes reached: the head is too long";
    /// Limit `headers`.
    Headers = "headers", REQUEST_HEADER_FIELDS_TOO_LARGE, "limit headers reached: too many headers";
    /// Timeout `head`.
    HeadLate = "head", REQUEST_TIMEOUT, "timeout head reached: the head did not arrive in time";
    /// Limit `body_bytes_per_second`.
    BodySlow = "body_bytes_per_second", REQUEST_TIMEOUT, "limit body_bytes_per_second reached: the body arrives too slowly";
}

impl Rule {
    /// The rule with this number.
    pub fn numbered(number: usize) -> Option<Rule> {
        Rule::ALL.get(number).copied()
    }

    /// Its number, for [`Rule::numbered`].
    pub fn number(self) -> usize {
        self as usize
    }

    /// Whether it is a named limit or time, and not a fault of the request's form.
    pub fn is_limit(self) -> bool {
        self.status() != StatusCode::BAD_REQUEST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_found_by_its_number() {
        for rule in Rule::ALL {
            assert_eq!(Rule::numbered(rule.number()), Some(*rule));
        }
        assert_eq!(Rule::numbered(Rule::ALL.len()), None);
    }
}
