//! The properties of `tests/properties`, for a fuzzing engine.

#[path = "../../tests/properties/targets.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod targets;

/// Panics where the property of that name does not hold for `bytes`.
pub fn check(name: &str, bytes: &[u8]) {
    (targets::named(name).check)(bytes);
}
