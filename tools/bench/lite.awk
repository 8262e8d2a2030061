# SPDX-License-Identifier: GPL-2.0-only
#
# Turns what tools/bench/inlab-lite left into tables and JSON; tools/bench/lite calls it.
#
#   awk -f lite.awk -v json=FILE N-MODE.figures... N-MODE.log...
#
# A figure is the median of the rounds. Ratios are times: 2.00 takes twice as long as on the host.
# Counters are sums over a guest's life, boot included; shown is their median, too.

function median(list,    n, v, i, j, t) {
	n = split(list, v, " ")
	for (i = 2; i <= n; i++)
		for (j = i; j > 1 && v[j - 1] + 0 > v[j] + 0; j--) {
			t = v[j]; v[j] = v[j - 1]; v[j - 1] = t
		}
	low = v[1] + 0
	high = v[n] + 0
	return n % 2 ? v[(n + 1) / 2] + 0 : (v[n / 2] + v[n / 2 + 1]) / 2
}

function show(x) {
	return x >= 1000 ? sprintf("%.0f", x) : x >= 100 ? sprintf("%.1f", x) : sprintf("%.2f", x)
}

function cell(m, r) {
	return (m, r) in mid ? sprintf("%s ±%.0f%%", show(mid[m, r]), \
		50 * (hi[m, r] - lo[m, r]) / mid[m, r]) : "-"
}

# How many times longer mode a takes than mode b, in what list holds: mid or best.
function times(list, a, b, r) {
	return (a, r) in list && (b, r) in list && list[b, r] > 0 ? \
		sprintf("%.2f", list[a, r] / list[b, r]) : "-"
}

function count_table(title, names,    n, v, i, j, line, any) {
	n = split(names, v, " ")
	print "\n" title
	line = sprintf("%-22s", "")
	for (j = 2; j <= modes; j++)
		line = line sprintf(" %14s", mode[j])
	print line
	for (i = 1; i <= n; i++) {
		line = sprintf("%-22s", v[i])
		any = 0
		for (j = 2; j <= modes; j++) {
			any += (mode[j], v[i]) in total
			line = line sprintf(" %14s", (mode[j], v[i]) in total ? \
				sprintf("%.0f", total[mode[j], v[i]]) : "-")
		}
		if (any)
			print line
	}
}

BEGIN {
	modes = split("host lite lite-ring3 lite-nocache", mode, " ")
}

FNR == 1 {
	m = FILENAME
	sub(/.*\//, "", m)
	logfile = m ~ /\.log$/
	sub(/^[0-9]+-/, "", m)
	sub(/\.[a-z]*$/, "", m)
}

logfile && $2 == "vcpu0" {
	for (i = 3; i <= NF; i++)
		if (split($i, kv, "=") == 2) {
			counts[m, kv[1]] = counts[m, kv[1]] " " kv[2]
			if (kv[1] ~ /^hc[0-9]+$/ && !(kv[1] in hc_seen)) {
				hc_seen[kv[1]] = 1
				hc = hc " " kv[1]
			}
		}
}

logfile {
	next
}

# NAME - UNIT REASON, or NAME VALUE UNIT ...; a guest's memory is no matter of this table.
NF >= 3 && $1 !~ /^rss_/ && $1 != "complete" {
	if (!($1 in unit)) {
		unit[$1] = $3
		row[++rows] = $1
	}
	if ($2 == "-") {
		missing[m, $1] = $0
		sub(/^[^ ]* - [^ ]* /, "", missing[m, $1])
	} else {
		values[m, $1] = values[m, $1] " " $2
		x = NF >= 6 ? $6 : $2
		if (!((m, $1) in best) || x + 0 < best[m, $1])
			best[m, $1] = x + 0
	}
}

END {
	for (k in values) {
		mid[k] = median(values[k])
		lo[k] = low
		hi[k] = high
	}
	for (k in counts)
		total[k] = median(counts[k])
	printf "%-20s %4s", "", ""
	for (j = 1; j <= modes; j++)
		printf " %15s", mode[j]
	printf " %7s %7s %7s %7s | %8s %7s %7s %7s\n", "l/h", "3/h", "n/h", "n/l", "best l/h",
		"3/h", "n/h", "n/l"
	for (i = 1; i <= rows; i++) {
		r = row[i]
		# The width of "±" is two bytes to some awks and one character to others.
		line = sprintf("%-20s %4s", r, unit[r])
		for (j = 1; j <= modes; j++) {
			c = cell(mode[j], r)
			w = length(c) - (c ~ /±/ && length("±") == 2)
			line = line sprintf("%" (16 - w) "s%s", "", c)
		}
		print line sprintf(" %7s %7s %7s %7s | %8s %7s %7s %7s",
			times(mid, "lite", "host", r), times(mid, "lite-ring3", "host", r),
			times(mid, "lite-nocache", "host", r),
			times(mid, "lite-nocache", "lite", r), times(best, "lite", "host", r),
			times(best, "lite-ring3", "host", r),
			times(best, "lite-nocache", "host", r),
			times(best, "lite-nocache", "lite", r))
	}
	print "Median of the rounds, and half of what lies between the lowest and the highest." \
		"\nRatios are times: above 1 is slower. l/h: lite to host, 3/h: in ring 3 to" \
		"\nhost, n/h: without the cache to host, n/l: without the cache to with it; then" \
		"\nthe same of the best rounds, which other load on the machine disturbs least."
	for (i = 1; i <= rows; i++)
		for (j = 1; j <= modes; j++)
			if ((mode[j], row[i]) in missing)
				print "not measured: " mode[j] " " row[i] ": " \
					missing[mode[j], row[i]]
	count_table("Entries by tier, a guest's whole life:", \
		"sw_syscall sw_iret sw_trap sw_hypercall sw_updates lights exits")
	count_table("Light exits by reason:", "light_pf light_hypercall light_other")
	count_table("Full exits by reason:", "irq nmi pf gp hypercall other")
	count_table("What the core did:", "halts events traps fills shadow_new shadow_evicted" \
		" syncs base_switches")
	count_table("Hypercalls by number (light and full):", hc)

	print "{\n \"rows\": [" >json
	for (i = 1; i <= rows; i++) {
		r = row[i]
		printf "  {\"name\": \"%s\", \"unit\": \"%s\"", r, unit[r] >json
		for (j = 1; j <= modes; j++)
			if ((mode[j], r) in mid)
				printf ", \"%s\": {\"median\": %s, \"min\": %s, \"max\": %s}",
					mode[j], mid[mode[j], r], lo[mode[j], r],
					hi[mode[j], r] >json
		print "}" (i < rows ? "," : "") >json
	}
	print " ],\n \"counters\": {" >json
	for (j = 2; j <= modes; j++) {
		printf "  \"%s\": {", mode[j] >json
		sep = ""
		for (k in total) {
			split(k, kv, SUBSEP)
			if (kv[1] != mode[j])
				continue
			printf "%s\"%s\": %.0f", sep, kv[2], total[k] >json
			sep = ", "
		}
		print "}" (j < modes ? "," : "") >json
	}
	print " }\n}" >json
}
