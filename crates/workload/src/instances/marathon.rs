//! What programs that ran under Marathon find in their environment and what is known only at the start: the version of
//! their app, and their ports by the numbers that were asked for.

use jiff::Timestamp;
use mezz_spec::template::Port;
use mezz_state::time::Wall;

/// Who is told this is told who it is: the variable is there in whatever an app was made into.
pub(crate) const APP_ID: &str = "MARATHON_APP_ID";

/// Variables and their values.
pub(crate) fn told_at_the_start(
    ports: &[Port],
    numbers: &[u16],
    version: Wall,
) -> Vec<(String, String)> {
    let mut told = vec![("MARATHON_APP_VERSION".to_owned(), written(version))];
    for (port, number) in ports.iter().zip(numbers) {
        let asked = port.service_port.or(port.host_port).unwrap_or(*number);
        told.push((format!("PORT_{asked}"), number.to_string()));
        told.push((
            format!("PORT_{}", port.name.to_uppercase()),
            number.to_string(),
        ));
    }
    told
}

/// As Marathon writes versions.
fn written(at: Wall) -> String {
    Timestamp::from_nanosecond(i128::from(at.0))
        .unwrap_or(Timestamp::MAX)
        .strftime("%Y-%m-%dT%H:%M:%S%.3fZ")
        .to_string()
}
