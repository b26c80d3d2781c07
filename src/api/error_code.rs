//! The server's own error codes. Those of refused commands are in `schema::invalid` and in the refusals of `projections`.
//!
//! A code is part of the contract: it is never renamed and never used for anything else. Each has one HTTP status, except
//! `bad_request` and `internal`, which stand for whatever other status the HTTP framework answers with by itself.

macro_rules! error_codes {
    ($($(#[$doc:meta])* $name:ident = $status:literal $text:literal;)*) => {
        /// A code that the server answers with.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ErrorCode {
            $($(#[$doc])* $name,)*
        }

        impl ErrorCode {
            /// Every code, sorted by its text.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The code as it is written.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The HTTP status of an answer with this code.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }
        }
    };
}

error_codes! {
    /// `at` is after the end of the log.
    AtInTheFuture = 404 "at_in_the_future";
    /// The HTTP framework refused the request, such as for a path that is not UTF-8.
    BadRequest = 400 "bad_request";
    /// The body did not arrive within its time.
    BodyTimeout = 408 "body_timeout";
    /// The body has more bytes than a request may have.
    BodyTooLarge = 413 "body_too_large";
    /// What is to be undone was changed by others since.
    ChangedSince = 409 "changed_since";
    /// The server's clock is ahead of other clocks, so it must not date events.
    ClockAhead = 503 "clock_ahead";
    /// The content that a digest names is not stored any more.
    ContentGone = 410 "content_gone";
    /// The log holds an event or a content that is not what was appended.
    Damaged = 500 "damaged";
    /// The `Idempotency-Key` was used for another request.
    IdempotencyKeyReused = 409 "idempotency_key_reused";
    /// The connection broke in the middle of the body.
    IncompleteBody = 400 "incomplete_body";
    /// The server met a bug of its own.
    Internal = 500 "internal";
    /// The `Idempotency-Key` is given twice, is too long, or has characters that are not visible ASCII.
    InvalidIdempotencyKey = 400 "invalid_idempotency_key";
    /// A parameter of the URL, or a header, has a value that can't be read.
    InvalidParameter = 400 "invalid_parameter";
    /// The log knows no such token, or it was revoked.
    InvalidToken = 401 "invalid_token";
    /// The route does not answer this method.
    MethodNotAllowed = 405 "method_not_allowed";
    /// The request carries no token.
    MissingToken = 401 "missing_token";
    /// The caller may read, and asks for a change.
    NotPermitted = 403 "not_permitted";
    /// The request can't come with a plan, because random bytes are a part of what it changes.
    NotPlannable = 422 "not_plannable";
    /// The position is appended, but not published yet.
    NotPublished = 404 "not_published";
    /// The server can't do its work at the moment.
    NotReady = 503 "not_ready";
    /// The request did what can't be taken back.
    NotUndoable = 409 "not_undoable";
    /// Too many requests, connections, bodies or bytes of answers at once.
    Overloaded = 503 "overloaded";
    /// The request would not come out as the plan in `If-Match`.
    PlanChanged = 412 "plan_changed";
    /// The server did not reach `min_position` within its time.
    PositionNotReached = 503 "position_not_reached";
    /// The request took too long.
    TimedOut = 503 "timed_out";
    /// Too many expensive queries at once.
    TooManyQuestions = 503 "too_many_questions";
    /// Too many live streams at once.
    TooManyStreams = 503 "too_many_streams";
    /// The log can't be read or written at the moment.
    Unavailable = 503 "unavailable";
    /// The log has no such request.
    UnknownCommand = 404 "unknown_command";
    /// There is no such entity.
    UnknownEntity = 404 "unknown_entity";
    /// The node has no such file.
    UnknownFile = 404 "unknown_file";
    /// The route has no such parameter.
    UnknownParameter = 400 "unknown_parameter";
    /// There is no such route.
    UnknownRoute = 404 "unknown_route";
    /// The body is compressed.
    UnsupportedContentEncoding = 415 "unsupported_content_encoding";
    /// The body is not JSON.
    UnsupportedMediaType = 415 "unsupported_media_type";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_sorted_distinct_and_snake_case() {
        assert!(ErrorCode::ALL.is_sorted_by(|one, other| one.as_str() < other.as_str()));
        for code in ErrorCode::ALL {
            assert!(code.as_str().bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase()), "{code:?}");
            assert!((400..600).contains(&code.status()), "{code:?}");
        }
    }
}
