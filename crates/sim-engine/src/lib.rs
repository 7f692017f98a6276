//! A simulated crypto accelerator.

pub mod compute;
