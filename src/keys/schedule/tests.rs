//! t. Pure.
