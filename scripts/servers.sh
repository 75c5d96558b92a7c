# The servers that scripts/bench measures, each an instance of its own in $scratch, on free ports of
# the loopback. Sourced; what is started is in $children by its process id and ends with the script.
# shellcheck shell=bash disable=SC2034,SC2154

children=()
postfix_runs=no
postgres_pid=

# Ends what the script started, and removes what it wrote.
end_servers() {
    local child
    if [[ $postfix_runs == yes ]]; then postfix -c "$scratch/postfix" stop >/dev/null 2>&1 || true; fi
    for child in "${children[@]}"; do end_child "$child"; done
    if [[ -n $postgres_pid ]]; then stop_postgres || true; fi
    rm -rf "$scratch"
}

end_child() {
    kill "$1" 2>/dev/null || return 0
    wait "$1" 2>/dev/null || true
}

# Sets $sink to its address.
start_sink() {
    local port
    port=$(free_port)
    smtp-sink -u nobody "127.0.0.1:$port" 1000 &
    children+=("$!")
    sink_pid=$!
    until_open "$port"
    sink=127.0.0.1:$port
}

# start_postfix [RESTRICTION]: what is asked about each recipient. Everything is delivered to nowhere.
# Sets $postfix to its address.
start_postfix() {
    local port conf=$scratch/postfix
    port=$(free_port)
    mkdir -p "$conf" "$scratch/queue" "$scratch/postfix-data"
    chown postfix "$scratch/postfix-data"
    cat >"$conf/main.cf" <<CONF
compatibility_level = 3.6
queue_directory = $scratch/queue
data_directory = $scratch/postfix-data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = bench.example
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
default_transport = discard
local_transport = discard
relay_transport = discard
alias_maps =
local_recipient_maps =
smtpd_recipient_restrictions = ${1-}
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_client_connection_count_limit = 0
smtpd_peername_lookup = no
default_process_limit = 400
qmgr_message_active_limit = 100000
qmgr_message_recipient_limit = 100000
in_flow_delay = 0
maillog_file_prefixes = $scratch
maillog_file = $scratch/postfix.log
CONF
    cat >"$conf/master.cf" <<CONF
127.0.0.1:$port inet n - n - - smtpd
cleanup   unix n - n - 0 cleanup
qmgr      unix n - n 300 1 qmgr
rewrite   unix - - n - - trivial-rewrite
bounce    unix - - n - 0 bounce
defer     unix - - n - 0 bounce
trace     unix - - n - 0 bounce
proxymap  unix - - n - - proxymap
error     unix - - n - - error
retry     unix - - n - - error
discard   unix - - n - - discard
anvil     unix - - n - 1 anvil
postlog   unix-dgram n - n - 1 postlogd
CONF
    postfix -c "$conf" start 2>"$scratch/postfix.err" || { cat "$scratch/postfix.err"; exit 1; }
    postfix_runs=yes
    until_open "$port"
    postfix=127.0.0.1:$port
}

stop_postfix() {
    postfix -c "$scratch/postfix" stop >/dev/null 2>&1
    postfix_runs=no
}

# Answers everything with the same $1 octets. Sets $nginx to its address.
start_nginx() {
    local port folder=$scratch/nginx text
    port=$(free_port)
    mkdir -p "$folder"
    text=$(printf '%*s' "$1" '' | tr ' ' x)
    cat >"$folder/nginx.conf" <<CONF
user nobody nogroup;
daemon off;
worker_processes 2;
pid $folder/pid;
error_log $folder/error.log;
events { worker_connections 1024; }
http {
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path $folder/body;
    proxy_temp_path $folder/proxy;
    fastcgi_temp_path $folder/fastcgi;
    uwsgi_temp_path $folder/uwsgi;
    scgi_temp_path $folder/scgi;
    server {
        listen 127.0.0.1:$port;
        default_type application/json;
        location / { return 200 '$text'; }
    }
}
CONF
    nginx -p "$folder" -c "$folder/nginx.conf" 2>"$folder/start.log" &
    children+=("$!")
    nginx_pid=$!
    until_open "$port"
    nginx=127.0.0.1:$port
}

# Keeps nothing on disk. Sets $redis to its address.
start_redis() {
    local port
    port=$(free_port)
    redis-server --bind 127.0.0.1 --port "$port" --save '' --appendonly no --dir "$scratch" \
        --daemonize no >"$scratch/redis.log" &
    children+=("$!")
    redis_pid=$!
    until_open "$port"
    redis=127.0.0.1:$port
}

# Synchronises to disk, as it comes. Sets $postgres_url to a fresh database, $postgres_pid.
start_postgres() {
    local data=$scratch/postgres port
    if [[ ! -d $data ]]; then
        postgres_bin=$(dirname "$(compgen -G '/usr/lib/postgresql/*/bin/initdb' | sort -V | tail -n1)")
        port=$(free_port)
        mkdir -p "$data"
        chown postgres: "$data"
        as_postgres "$postgres_bin/initdb" -D "$data/data" -A trust -U postgres -E UTF8 --locale=C \
            >"$scratch/initdb.log" 2>&1 || { cat "$scratch/initdb.log"; exit 1; }
        printf '%s\n' "port = $port" "listen_addresses = '127.0.0.1'" \
            "unix_socket_directories = '$data'" >>"$data/data/postgresql.conf"
        postgres_server=postgres://postgres@127.0.0.1:$port
    fi
    if [[ -z $postgres_pid ]]; then begin_postgres; fi
    databases=$((${databases-0} + 1))
    as_postgres "$postgres_bin/createdb" -h "$data" -p "${postgres_server##*:}" -U postgres \
        "bench$databases"
    postgres_url=$postgres_server/bench$databases
}

begin_postgres() {
    as_postgres "$postgres_bin/pg_ctl" -D "$scratch/postgres/data" -w -l "$scratch/postgres/log" \
        start >/dev/null || { cat "$scratch/postgres/log"; exit 1; }
    postgres_pid=$(head -n1 "$scratch/postgres/data/postmaster.pid")
}

stop_postgres() {
    resume_postgres
    as_postgres "$postgres_bin/pg_ctl" -D "$scratch/postgres/data" -m fast -w stop >/dev/null
    postgres_pid=
}

# From now on it neither answers nor closes anything.
hang_postgres() {
    local of_it
    mapfile -t of_it < <(pgrep -P "$postgres_pid")
    hanging=("$postgres_pid" "${of_it[@]}")
    kill -STOP "${hanging[@]}"
}

resume_postgres() {
    if ((${#hanging[@]})); then kill -CONT "${hanging[@]}" 2>/dev/null || true; fi
    hanging=()
}
hanging=()

# It refuses to run as root, and to begin in a folder that its user cannot enter.
as_postgres() (
    cd "$scratch"
    runuser -u postgres -- "$@"
)

# start_desist NAME [STORE_URL]: the folder of that name is kept for a restart. Sets $smtp, $public
# and $api to its addresses, $desist_pid, $key_file and $certificate.
start_desist() {
    local data=$scratch/$1 line lines
    smtp='' public='' api=''
    lines=$(mktemp -u "$scratch/lines.XXXXXX")
    mkfifo "$lines"
    if [[ -n ${2-} ]]; then export DESIST_STORE__URL=$2; else unset DESIST_STORE__URL; fi
    DESIST_DATA_DIR=$data DESIST_SMTP__LISTEN=127.0.0.1:0 DESIST_PUBLIC__LISTEN=127.0.0.1:0 \
        DESIST_API__LISTEN=127.0.0.1:0 DESIST_LIMITS__SESSIONS_PER_IP=1000 \
        "$desist" serve >"$lines" 2>>"$scratch/desist.log" &
    desist_pid=$!
    children+=("$desist_pid")
    exec 3<"$lines"
    while [[ -z $api ]] && read -r -t 600 line <&3; do
        case $line in
            "listening smtp "*) smtp=${line##* } ;;
            "listening public "*) public=${line##* } ;;
            "listening api "*) api=${line##* } ;;
        esac
    done
    rm "$lines"
    if [[ -z $smtp || -z $public || -z $api ]]; then cat "$scratch/desist.log"; exit 1; fi
    key_file=$data/admin.key
    certificate=$data/self-made.pem
}

stop_desist() {
    kill -TERM "$desist_pid"
    wait "$desist_pid" || { echo "desist stopped with code $?"; cat "$scratch/desist.log"; exit 1; }
    exec 3<&-
}

# A port that nobody listens on, outside the range that the system gives to outgoing connections.
free_port() {
    local port
    while port=$((20000 + RANDOM % 10000)) && (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do :; done
    echo "$port"
}

until_open() {
    local attempt
    for attempt in {1..100}; do
        if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then return; fi
        sleep 0.1
    done
    echo "nothing listens on port $1 after $attempt attempts"
    tail -n 5 "$scratch"/*.log "$scratch"/nginx/*.log 2>/dev/null || true
    exit 1
}
