//! The resources users write: ModelProvider, ModelRoute, FallbackPolicy, ModelBudget.
