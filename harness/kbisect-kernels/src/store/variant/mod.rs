//! Variants: a stock kernel with modules replaced or words added to its command line.

mod check;
mod error;
mod make;

pub use error::VariantError;
pub use make::{AddedVariant, VariantRequest};
