//! The paper trader: a pure matching engine stepped inside the pipeline.
