//! The page that specifies the language, and flows against a scripted server.

mod examples;
mod flows;
mod headers;
mod making;
mod refusals;
mod shipped;
