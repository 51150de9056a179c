//! The smallest part of a scenario that still shows a failure: delta debugging over its ingredients.

mod ingredients;
mod result;
mod rules;
mod search;

pub use ingredients::{Ingredient, IngredientKind, Ingredients};
pub use result::{MinimizeOutcome, MinimizeResult, Told, shows, tried};
pub use search::{Reduction, Tries, Want};
