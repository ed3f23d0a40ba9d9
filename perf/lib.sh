# Sourced by perf/run and perf/ingest: an origin and an nginx on one core, their CPU time.
# shellcheck shell=bash

. "$(dirname "${BASH_SOURCE[0]}")/../scripts/lib.sh"

# Loopback under BBR measures BBR's pacing timers: where we are root, the script that sources this
# runs again in a network namespace of its own, with Reno, and with every port free.
isolate() {
    if [ "$(id -u)" = 0 ] && [ -z "${PERF_ISOLATED-}" ]; then
        export PERF_ISOLATED=1
        exec unshare --net "$0" "$@"
    fi
    if [ -n "${PERF_ISOLATED-}" ]; then
        ip link set lo up
        echo reno >/proc/sys/net/ipv4/tcp_congestion_control
    fi
    say "congestion control: $(cat /proc/sys/net/ipv4/tcp_congestion_control)"
}

# Servers get core 0; what loads them gets the others, so that one cannot pay for the other.
SERVER_CORE=0
cores=$(nproc)
[ "$cores" -gt 1 ] || die "perf needs two cores: one for the server, one for its load"
LOAD_CORES=1-$((cores - 1))

dir=$(mktemp -d "${TMPDIR:-/tmp}/headwater-perf.XXXXXX")
children=()
end() {
    local status=$?
    set +e
    trap - EXIT TERM INT
    stop_all "${children[@]}"
    rm -rf "$dir"
    exit "$status"
}

# start_headwater CHANNEL...: one shard on the server's core; sets headwater (its process id).
start_headwater() {
    local channel n
    {
        printf '[server]\nhttp = "127.0.0.1:8080"\nshards = 1\n'
        printf '[control]\nlisten = "127.0.0.1:8081"\n[storage]\ndir = "%s/data"\n' "$dir"
        for channel in "$@"; do
            printf '[[channel]]\nid = "%s"\nring = "512MiB"\nsegment_size_max = "16MiB"\n' "$channel"
            printf 'ingest_requests_per_second = 100000\ningest_bits_per_second = 1000000000000\n'
            for n in 1 2; do
                printf '[[channel.input]]\nusername = "perf"\npassword = "perf"\n'
            done
            printf '[[endpoint]]\nid = "%s"\nchannel = "%s"\n' "$channel" "$channel"
            printf 'startover_window_seconds = 600\n[endpoint.cmaf_package]\n'
            printf 'segment_duration_seconds = 2\n[[endpoint.cmaf_package.hls_manifests]]\n'
            printf 'id = "hls"\nplaylist_window_seconds = 60\n'
        done
    } >"$dir/headwater.toml"
    taskset -c "$SERVER_CORE" "$ROOT/target/release/headwater" serve \
        --config "$dir/headwater.toml" >"$dir/headwater.log" 2>&1 &
    headwater=$!
    children+=("$headwater")
    until curl -sf -o /dev/null http://127.0.0.1:8081/readyz; do
        kill -0 "$headwater" 2>/dev/null || {
            tail -5 "$dir/headwater.log" >&2
            die "headwater did not start"
        }
        sleep 0.1
    done
}

# start_nginx: one worker on the server's core, serving and taking (WebDAV) files under $dir/www.
start_nginx() {
    mkdir -p "$dir/www" "$dir/put"
    cat >"$dir/nginx.conf" <<NGINX
daemon off;
user $(id -un);
worker_processes 1;
pid $dir/nginx.pid;
error_log $dir/nginx.error.log;
events { worker_connections 4096; }
http {
    access_log off;
    sendfile on;
    tcp_nopush on;
    tcp_nodelay on;
    keepalive_requests 1000000000;
    open_file_cache max=1000;
    client_max_body_size 64m;
    client_body_temp_path $dir/body;
    types {
        video/mp4 m4s mp4;
        application/vnd.apple.mpegurl m3u8;
    }
    server {
        listen 127.0.0.1:8090;
        root $dir/www;
        location /in/ {
            alias $dir/put/;
            dav_methods PUT;
            create_full_put_path on;
        }
    }
}
NGINX
    taskset -c "$SERVER_CORE" nginx -c "$dir/nginx.conf" 2>"$dir/nginx.log" &
    nginx=$!
    children+=("$nginx")
    until curl -s -o /dev/null http://127.0.0.1:8090/; do
        kill -0 "$nginx" 2>/dev/null || {
            cat "$dir/nginx.log" >&2
            die "nginx did not start"
        }
        sleep 0.1
    done
}

# cpu_ticks PID: clock ticks that the process, its threads and its children have used.
cpu_ticks() {
    local pid sum=0 fields
    for pid in "$1" $(pgrep -P "$1"); do
        read -r -a fields < <(sed 's/.*) //' "/proc/$pid/stat")
        sum=$((sum + fields[11] + fields[12]))
    done
    printf '%s' "$sum"
}

# make_segments SECONDS BITRATE PATTERN: a moving picture with noise, cut every two seconds.
make_segments() {
    ffmpeg -nostdin -v error -f lavfi -i testsrc2=size=1280x720:rate=25,noise=alls=30:allf=t \
        -f lavfi -i sine=sample_rate=48000 -t "$1" -c:v libx264 -preset ultrafast \
        -pix_fmt yuv420p -g 50 -keyint_min 50 -sc_threshold 0 \
        -b:v "$2" -minrate "$2" -maxrate "$2" -bufsize "$2" -c:a aac -b:a 128k \
        -f hls -hls_time 2 -hls_list_size 0 -hls_segment_filename "$3" "$dir/made.m3u8"
}
