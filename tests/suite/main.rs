//! All tests of the built library and binary, in one binary: each further one would be linked with every dependency again.

mod archive;
mod bundles;
mod catalog;
mod changes;
mod cli;
mod corpus;
mod damage;
mod faults;
mod house;
mod keys;
mod kill;
mod library;
mod log;
mod mends;
mod mirror;
mod model;
mod oracles;
mod order;
mod people;
mod readme;
mod scene;
mod server;
mod servers;
mod trust;
mod typed;
