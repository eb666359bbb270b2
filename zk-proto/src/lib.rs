#![no_std]
#![forbid(unsafe_code)]
//! jute
extern crate alloc;
