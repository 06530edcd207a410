//! p11rest
