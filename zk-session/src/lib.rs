#![no_std]
#![forbid(unsafe_code)]
//! session
extern crate alloc;
