//! The site agent: what is fenced changes nothing, judged by SQL in the site's database.

mod active;
mod attested;
mod cold;
mod drill;
mod engine;
mod failover;
mod flowable;
mod modes;
mod own;
mod relay;
mod replica;
mod silent;
mod world;
