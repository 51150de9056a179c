//! Which links there are.

/// A link and the nodes on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkPlan {
    /// Name.
    pub name: String,
    /// Nodes, in port order.
    pub members: Vec<String>,
}
