//! Other people's clients, each a program in `tests/clients`.
