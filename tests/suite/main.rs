//! All tests of the built library and binary, in one binary: each further one would be linked with every dependency again.

mod archive;
mod attacks;
mod catalog;
mod changes;
mod cli;
mod damage;
mod faults;
mod house;
mod keys;
mod kill;
mod library;
mod log;
mod mirror;
mod old_archives;
mod oracles;
mod readme;
mod scene;
mod server;
mod servers;
mod trust;
