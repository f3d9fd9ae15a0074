//! The kernel's texts of both versions read as figures, and the figures as Mesos shows them.

use mezz_cgroup::{
    Bytes, Ceiling, DeviceNumber, IoCount, IoOperation, OomCounters, OomReport, OomVerdict,
    Pressure, Statistics, pressure,
};
use mezz_proto::v1;

const MEMORY_STAT_V1: &str = "\
cache 14835712
rss 11231232
rss_huge 0
shmem 8998912
mapped_file 7532544
swap 0
unevictable 18694144
hierarchical_memory_limit 9223372036854771712
hierarchical_memsw_limit 9223372036854771712
total_cache 10678845440
total_rss 873189376
total_rss_huge 0
total_mapped_file 159514624
total_swap 4096
total_pgpgin 2207531782
total_inactive_anon 861782016
total_unevictable 18694144
";

const MEMORY_STAT_V2: &str = "\
anon 860160
file 129146880
kernel 9211904
kernel_stack 32768
pagetables 126976
sec_pagetables 0
percpu 0
sock 36864
vmalloc 0
shmem 0
zswap 0
zswapped 0
file_mapped 1589248
file_dirty 0
file_writeback 0
swapcached 0
anon_thp 0
inactive_anon 815104
active_anon 20480
inactive_file 51507200
active_file 77639680
unevictable 12288
slab_reclaimable 8642480
slab 8983384
pgfault 132306
thp_fault_alloc 19
";

const BLKIO: &str = "\
253:0 Read 64827392
253:0 Write 4096
253:0 Sync 64831488
253:0 Async 0
253:0 Discard 0
253:0 Total 64831488
7:0 Read 12
7:0 Total 12
Total 64831500
";

#[test]
fn processor_time_of_version_one_is_in_ticks_and_nanoseconds() {
    let mut found = Statistics::default();
    found.cpuacct_stat("user 7255769\nsystem 888344\n", 100);
    found.cpu_stat_v1(
        "nr_periods 120\nnr_throttled 7\nthrottled_time 1234567890\nnr_bursts 0\nburst_time 0\n",
    );
    assert_eq!(found.cpu.user_us, Some(72_557_690_000));
    assert_eq!(found.cpu.system_us, Some(8_883_440_000));
    assert_eq!(
        (found.cpu.periods, found.cpu.throttled),
        (Some(120), Some(7))
    );
    assert_eq!(found.cpu.throttled_us, Some(1_234_567));
}

#[test]
fn processor_time_of_version_two_is_in_microseconds_and_throttling_only_where_it_is_enabled() {
    let mut found = Statistics::default();
    let basic = "usage_usec 81256462723\nuser_usec 72395802866\nsystem_usec 8860659857\nnice_usec 53556556660\n";
    found.cpu_stat_v2(basic);
    assert_eq!(found.cpu.user_us, Some(72_395_802_866));
    assert_eq!(found.cpu.throttled, None);
    found.cpu_stat_v2("nr_periods 3\nnr_throttled 2\nthrottled_usec 55\n");
    assert_eq!(
        (found.cpu.throttled, found.cpu.throttled_us),
        (Some(2), Some(55))
    );
}

#[test]
fn memory_of_version_one_is_the_sum_over_inner_groups() {
    let mut found = Statistics::default();
    found.memory_stat_v1(MEMORY_STAT_V1);
    assert_eq!(found.memory.file, Some(10_678_845_440));
    assert_eq!(found.memory.anonymous, Some(873_189_376));
    assert_eq!(found.memory.mapped, Some(159_514_624));
    assert_eq!(found.memory.swap, Some(4096));
    assert_eq!(found.memory.unevictable, Some(18_694_144));
}

#[test]
fn memory_of_version_two_has_the_kernels_part_in_the_same_file_and_swap_apart() {
    let mut found = Statistics::default();
    found.memory.total = Some(1000);
    found.memory_stat_v2(MEMORY_STAT_V2);
    found.swap_current("24\n");
    assert_eq!(found.memory.anonymous, Some(860_160));
    assert_eq!(found.memory.file, Some(129_146_880));
    assert_eq!(found.memory.kernel, Some(9_211_904));
    assert_eq!(found.memory.tcp, Some(36_864));
    assert_eq!(found.memory.mapped, Some(1_589_248));
    assert_eq!(found.memory.unevictable, Some(12_288));
    assert_eq!(
        (found.memory.swap, found.memory.with_swap),
        (Some(24), Some(1024))
    );
}

#[test]
fn block_devices_of_both_versions_are_told_alike() {
    let vda = DeviceNumber {
        major: 253,
        minor: 0,
    };
    let mut one = Statistics::default();
    one.blkio(IoCount::Bytes, BLKIO);
    one.blkio(IoCount::Operations, "Total 0\n");
    assert_eq!(one.io.len(), 2, "the sum over devices is none");
    assert_eq!(one.io[&vda].bytes[&IoOperation::Sync], 64_831_488);
    assert!(one.io[&vda].operations.is_empty());
    let mut two = Statistics::default();
    two.io_stat(
        "253:0 rbytes=688128 wbytes=4096 rios=21 wios=1 dbytes=0 dios=0\n8:0 \n9:0 cost.usage=5\n",
    );
    assert_eq!(two.io[&vda].bytes[&IoOperation::Read], 688_128);
    assert_eq!(two.io[&vda].bytes[&IoOperation::Total], 692_224);
    assert_eq!(two.io[&vda].operations[&IoOperation::Total], 22);
    assert_eq!(two.io.len(), 1);
}

#[test]
fn pressure_is_the_time_waited() {
    let text = "some avg10=23.43 avg60=49.14 avg300=55.71 total=29403144246\n\
                full avg10=0.00 avg60=0.00 avg300=0.00 total=17\n";
    let expected = Pressure {
        some_us: 29_403_144_246,
        full_us: 17,
    };
    assert_eq!(pressure(text), expected);
    assert_eq!(
        pressure("some avg10=0.00 total=4\n").full_us,
        0,
        "older kernels, for processors"
    );
    assert_eq!(pressure(""), Pressure::default());
}

#[test]
fn texts_of_kernels_to_come_are_read_as_far_as_they_are_known() {
    let mut found = Statistics::default();
    found.memory_stat_v2("anon lots\nfile 5\nnew thing 7\n\n");
    found.blkio(IoCount::Bytes, "8:0 Flush 3\nnonsense\n8:0 Read x\n");
    found.io_stat("8 rbytes=1\n");
    assert_eq!(found.memory.file, Some(5));
    assert_eq!(found.memory.anonymous, None);
    assert!(found.io.is_empty());
}

#[test]
fn clients_see_mesoss_fields_in_seconds_and_bytes() {
    let mut found = Statistics::default();
    found.cpuacct_stat("user 150\nsystem 25\n", 100);
    found.memory_stat_v1(MEMORY_STAT_V1);
    found.blkio(IoCount::Bytes, BLKIO);
    let mut wire = v1::ResourceStatistics {
        mem_limit_bytes: Some(7),
        ..v1::ResourceStatistics::default()
    };
    found.fill(&mut wire);
    assert_eq!(wire.cpus_user_time_secs, Some(1.5));
    assert_eq!(wire.cpus_system_time_secs, Some(0.25));
    assert_eq!(wire.cpus_nr_periods, None);
    assert_eq!(
        (wire.mem_cache_bytes, wire.mem_file_bytes),
        (Some(10_678_845_440), wire.mem_cache_bytes)
    );
    assert_eq!(wire.mem_limit_bytes, Some(7), "the caller's");
    let throttling = &wire.blkio_statistics.expect("some").throttling;
    assert_eq!(throttling.len(), 2);
    let device = throttling[1].device.expect("a device");
    assert_eq!((device.major_number, device.minor_number), (253, 0));
    assert_eq!(throttling[1].io_service_bytes.len(), 6);
    let last = throttling[1].io_service_bytes.last().expect("some");
    assert_eq!(last.op(), v1::cgroup_info::blkio::Operation::Total);
}

#[test]
fn a_kill_for_want_of_memory_is_told_from_the_hosts_and_from_none() {
    let zero = OomCounters::parse_v1("oom_kill_disable 0\nunder_oom 0\noom_kill 0\n", "0\n");
    let limit = OomCounters::parse_v1("oom_kill_disable 0\nunder_oom 0\noom_kill 1\n", "42\n");
    assert_eq!(limit.verdict_since(&zero), OomVerdict::Limit);
    assert_eq!(limit.verdict_since(&limit), OomVerdict::None);
    let events = |oom, kill| {
        let text = format!("low 0\nhigh 0\nmax 9\noom {oom}\noom_kill {kill}\noom_group_kill 0\n");
        OomCounters::parse_v2(&text)
    };
    assert_eq!(events(1, 1).verdict_since(&events(0, 0)), OomVerdict::Limit);
    assert_eq!(
        events(0, 1).verdict_since(&events(0, 0)),
        OomVerdict::Outside
    );
    assert_eq!(events(1, 0).verdict_since(&events(0, 0)), OomVerdict::None);
    let old = OomCounters::parse_v1("oom_kill_disable 0\nunder_oom 0\n", "3\n");
    assert_eq!(old.killed, 0, "kernels before 4.13 do not count");
}

#[test]
fn the_message_of_a_limitation_is_as_mesos_writes_it() {
    let report = OomReport {
        limit: Ceiling::At(Bytes::mib(64)),
        peak: Some(Bytes(64 * 1024 * 1024 - 4096)),
        stat: "cache 0\nrss 5\n".to_owned(),
    };
    assert_eq!(
        report.message(),
        "Memory limit exceeded: Requested: 64MB Maximum Used: 65532KB\n\nMEMORY STATISTICS: \ncache 0\nrss 5\n\n"
    );
    assert!((report.megabytes() - 63.996_093_75).abs() < f64::EPSILON);
    let endless = OomReport {
        limit: Ceiling::Infinite,
        peak: None,
        stat: String::new(),
    };
    assert!(endless.megabytes() == 0.0);
}
