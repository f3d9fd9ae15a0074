mod client;
mod framework;
fn main() {}
