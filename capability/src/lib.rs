//! Who may delegate what to whom: capabilities, scopes, the meet, the grant. Pure.
