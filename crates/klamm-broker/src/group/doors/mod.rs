//! Every request to the group coordinator comes in through one of these doors: the shard that answers it is found, or the request is refused.

mod admin;
mod members;
mod modern;
mod offsets;
mod share_state;
