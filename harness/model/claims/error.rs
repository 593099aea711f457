//! Why claims cannot be chosen or read.

/// Why claims cannot be chosen or read.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum ClaimsError {
    /// No claim of that id.
    #[error("refcow knows no claim `{id}`")]
    #[diagnostic(help("{offer}"))]
    UnknownClaim {
        /// As the user wrote it.
        id: String,
        /// The nearest, and all.
        offer: String,
    },
    /// No fact of that id.
    #[error("refcow knows no fact `{id}`")]
    #[diagnostic(help("{offer}"))]
    UnknownFact {
        /// As the user wrote it.
        id: String,
        /// The nearest, and all.
        offer: String,
    },
    /// What is said about claims cannot be understood.
    #[error("in the claims: {0}")]
    #[diagnostic(help("claims are written as in refcow's own harness/model/claims/claims.toml"))]
    Data(String),
    /// A file of claims cannot be read.
    #[error("{path}: {reason}")]
    #[diagnostic(help(
        "--claims takes a file in the form of refcow's own harness/model/claims/claims.toml"
    ))]
    File {
        /// The file.
        path: String,
        /// Why not.
        reason: String,
    },
    /// A file of expectations.
    #[error("{path}: {reason}")]
    #[diagnostic(help(
        "each line of the file names a claim and a verdict: id = \"holds\", \"holds with limits\", \"does not \
         hold\" or \"not testable here\""
    ))]
    Expectations {
        /// The file.
        path: String,
        /// What is wrong with it, and where.
        reason: String,
    },
}
