//! What the A2A specification asks of a server, files named by section.

mod bindings_agree;
mod push;
mod push_agents;
mod push_delivery;
mod push_v03;
mod s03_operations;
mod s03_resume;
mod s05_bad_input;
mod s08_card_life;
mod s08_cards;
mod s08_probes;
mod s10_grpc;
mod s14_extensions;
