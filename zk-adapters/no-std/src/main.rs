//! Uses the core crates without std. The C runtime starts `main` and ends the process; all else is here.

#![no_std]
#![no_main]

extern crate alloc;

mod bump;

use alloc::vec::Vec;
use core::ffi::{c_char, c_int};
use core::panic::PanicInfo;

use bump::Bump;
use zk_proto as _;
use zk_session as _;

#[global_allocator]
static ALLOCATOR: Bump = Bump::new();

// SAFETY: the C runtime calls this, once, by this name and with these types.
#[unsafe(no_mangle)]
extern "C" fn main(_argc: c_int, _argv: *const *const c_char) -> c_int {
    let x: Vec<u8> = (0..3).collect();
    (x.len() != 3).into()
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    // SAFETY: it takes nothing and never returns.
    unsafe { abort() }
}

/// The precompiled alloc names this, although nothing unwinds with `panic = "abort"`.
// SAFETY: no other function of this program has that name, and none calls it.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

#[link(name = "c")]
unsafe extern "C" {
    fn abort() -> !;
}
