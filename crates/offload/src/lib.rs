mod request; pub use request::*;
