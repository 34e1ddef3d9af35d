//! The contract as Rust, made from `wit/`.

#![allow(missing_docs, reason = "generated; the documentation is in the WIT")]

#[cfg(any(
    all(feature = "archiver", feature = "reviewer"),
    all(feature = "bulk-reviewer", any(feature = "archiver", feature = "reviewer")),
))]
compile_error!(
    "a component is one plugin: pick one of the features `archiver`, `reviewer` and `bulk-reviewer`"
);
#[cfg(not(any(feature = "archiver", feature = "reviewer", feature = "bulk-reviewer")))]
compile_error!("pick one of the features `archiver`, `reviewer` and `bulk-reviewer`");

#[cfg(feature = "archiver")]
pub mod archive {
    wit_bindgen::generate!({
        path: "wit",
        world: "archive-plugin",
        pub_export_macro: true,
        export_macro_name: "__export_archive_plugin",
        default_bindings_module: "retain_plugin::__private::archive",
        generate_all,
    });
}

#[cfg(feature = "reviewer")]
pub mod review {
    wit_bindgen::generate!({
        path: "wit",
        world: "review-plugin",
        pub_export_macro: true,
        export_macro_name: "__export_review_plugin",
        default_bindings_module: "retain_plugin::__private::review",
        generate_all,
    });
}

#[cfg(feature = "bulk-reviewer")]
pub mod bulk {
    wit_bindgen::generate!({
        path: "wit",
        world: "bulk-review-plugin",
        pub_export_macro: true,
        export_macro_name: "__export_bulk_review_plugin",
        default_bindings_module: "retain_plugin::__private::bulk",
        generate_all,
    });
}

#[cfg(feature = "archiver")]
pub use archive::retain;
#[cfg(all(feature = "bulk-reviewer", not(feature = "archiver"), not(feature = "reviewer")))]
pub use bulk::retain;
#[cfg(all(feature = "reviewer", not(feature = "archiver")))]
pub use review::retain;

/// What only one of the worlds has.
pub mod exports_of_world {
    #[cfg(feature = "archiver")]
    pub use super::archive::exports::retain::plugin::archiver::Draft;
    #[cfg(feature = "archiver")]
    pub use super::archive::retain::plugin::blobs::{Destination, Object, OnExisting, Sink, Source};
    #[cfg(feature = "reviewer")]
    pub use super::review::exports::retain::plugin::reviewer::Verdict;
}
