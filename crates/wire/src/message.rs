//! Message numbers (RFC 4250 section 4.1).
