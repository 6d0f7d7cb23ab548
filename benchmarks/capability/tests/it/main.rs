//! Agreement with Cedar and with tenuo on what they share with `capability`, and the known differences.

mod agreement_with_cedar;
mod agreement_with_tenuo;
mod differences;
