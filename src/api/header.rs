//! Headers beside those of HTTP itself. Lower case, as they are compared.

/// In an answer: the position that it holds for.
pub const POSITION: &str = "headwater-position";
/// In a request: under the same key the same request is appended once, however often it is sent.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";
