# Rewrite the HAProxy configuration that Ray Serve generates; it is given twice, the first time to look ahead.
# Each rule counts how often it applied, and at the end every count must be what the known template gives: a new Ray
# with another template stops here, not in production.

/^[a-z]/ { section = $1 " " $2 }
/^# shaped by/ { shaped = 1 }

FNR == NR {
    if (section == "frontend http_frontend" && $1 == "bind") {
        host = $2
        sub(/:[0-9]+$/, "", host)
    }
    if ($1 == "use_backend") routed = 1
    next
}

shaped { print; next }  # a restart without a new configuration
FNR == 1 { print "# shaped by LearningHub: deployments/ingress" }

# Whoever opens the admin socket can redirect traffic: its owner alone, under which Ray runs too.
section ~ /^global/ && $1 " " $2 == "stats socket" {
    admin_sockets += sub(/ mode 666 /, " mode 600 ")
    print
    next
}

# Ray turns 502, 503 and 504 into a text/plain 500; ours are problem documents with their own status.
section ~ /^defaults/ && $1 == "errorfile" {
    if (!error_files++) insert("defaults.cfg")
    next
}

# The statistics follow the address of the front door (a laptop: loopback) instead of listening everywhere.
(section == "frontend prometheus" || section == "listen stats") && $1 == "bind" {
    statistics++
    sub(/^.*:/, "", $2)
    print "    bind " host ":" $2
    next
}

section == "frontend http_frontend" && $1 == "bind" {
    front_doors++
    print
    insert("frontend.cfg")
    next
}

# With no replica left the client gets 503 and Retry-After; Ray's fallback proxy would hold whole uploads in memory.
$1 == "server" && $NF == "backup" { next }

# Before the first application is up nothing is known to be absent.
section == "backend default_backend" && /http-request return status 404/ {
    unknown_paths++
    print "    http-request deny deny_status " (routed ? 404 : 503)
    next
}

{ print }

END {
    if (shaped) exit
    demand(admin_sockets, 1, "'stats socket' in global")
    demand(error_files, 3, "'errorfile' in defaults")
    demand(statistics, 2, "'bind' of prometheus and stats")
    demand(front_doors, 1, "'bind' in http_frontend")
    demand(unknown_paths, 1, "'return status 404' in default_backend")
    if (failed) exit 1
}

function insert(file,   line) {
    while ((getline line < (parts "/" file)) > 0) print line
}

function demand(count, wanted, what) {
    if (count == wanted) return
    print "ingress: expected " wanted " of " what ", found " count + 0 \
        "; Ray Serve's HAProxy template changed: adapt deployments/ingress/shape.awk" > "/dev/stderr"
    failed = 1
}
