# SPDX-License-Identifier: GPL-2.0-only
#
# Turns what tools/bench/inlab left into tables and JSON; tools/bench/bench calls it.
#
#   awk -f table.awk -v json=FILE about N-MODE.figures... N-MODE.exits...
#
# A figure is the median of the rounds. Ratios are speeds: 2.00 is twice as fast (or half as large).
# Whatever else runs on the machine below the lab can only make a round worse: so there is a second
# ratio, of the best round of either side.

function median(list,    n, v, i, j, t) {
	n = split(list, v, " ")
	for (i = 2; i <= n; i++)
		for (j = i; j > 1 && v[j - 1] + 0 > v[j] + 0; j--) {
			t = v[j]; v[j] = v[j - 1]; v[j - 1] = t
		}
	low = v[1] + 0
	high = v[n] + 0
	count = n
	return n % 2 ? v[(n + 1) / 2] + 0 : (v[n / 2] + v[n / 2 + 1]) / 2
}

function show(x) {
	if (x == "")
		return "-"
	return x >= 1000 ? sprintf("%.0f", x) : x >= 100 ? sprintf("%.1f", x) : sprintf("%.2f", x)
}

function is_rate(r) {
	return unit[r] ~ /\/s$|IOPS/
}

# How many times faster lodge is than mode m, in what list holds: mid or best.
function ratio(list, m, r) {
	if (r ~ /^rss_.*_guest$/ || !(("lodge", r) in list) || !((m, r) in list))
		return ""
	if (!list["lodge", r] || !list[m, r])
		return ""
	return is_rate(r) ? list["lodge", r] / list[m, r] : list[m, r] / list["lodge", r]
}

# A difference counts when the rounds do not overlap, and the best ones agree.
function verdict(r,    x) {
	x = ratio(mid, "qemu", r)
	if (x == "" || x >= 1)
		return ""
	if (ratio(best, "qemu", r) >= 1 || (lo["lodge", r] <= hi["qemu", r] &&
	    lo["qemu", r] <= hi["lodge", r]))
		return "(slower, within the spread)"
	return "<-- slower than QEMU"
}

function row_add(name) {
	if (!(name in seen)) {
		seen[name] = 1
		row[++rows] = name
	}
}

function per_op(m, r, c) {
	return ops[m, r] ? sprintf("%.3g", cnt[m, r, c] / ops[m, r]) : "-"
}

function spread(m, r) {
	return mid[m, r] ? 100 * (hi[m, r] - lo[m, r]) / mid[m, r] : 0
}

function json_text(s) {
	gsub(/["\\]/, "\\\\&", s)
	return "\"" s "\""
}

FNR == 1 {
	mode = FILENAME
	sub(/.*\//, "", mode)
	kind = mode
	sub(/^[0-9]+-/, "", mode)
	sub(/\.[a-z]+$/, "", mode)
	sub(/.*\./, "", kind)
}

FILENAME == "about" {
	k = $1
	sub(/^[^ ]* /, "")
	about[k] = $0
	next
}

kind == "figures" && $1 == "complete" {
	next
}

kind == "figures" {
	row_add($1)
	if (!(mode in is_mode))
		is_mode[mode] = 1
	unit[$1] = $3 == "-" ? unit[$1] : $3
	if ($2 == "-") {
		why = $0
		sub(/^[^ ]+ - [^ ]+ */, "", why)
		missing[mode, $1] = why
	} else {
		values[mode, $1] = values[mode, $1] " " $2
		ops[mode, $1] += $5
		one = NF >= 6 ? $6 : $2
		k = mode SUBSEP $1
		if (!(k in best) || (is_rate($1) ? one > best[k] : one < best[k]))
			best[k] = one
	}
	next
}

kind == "exits" {
	cnt[mode, $1, $2] += $3
}

END {
	nm = split("host lodge qemu", modes, " ")
	for (i = 1; i <= rows; i++)
		for (j = 1; j <= nm; j++)
			if ((modes[j], row[i]) in values) {
				mid[modes[j], row[i]] = median(values[modes[j], row[i]])
				lo[modes[j], row[i]] = low
				hi[modes[j], row[i]] = high
				n[modes[j], row[i]] = count
			}
	printf "\n%-22s %-5s %14s %14s %14s %6s %6s %6s\n", "", "", "", "", "",
		"lodge:", "lodge:", "by the"
	printf "%-22s %-5s %14s %14s %14s %6s %6s %6s\n", "", "unit", "lab host", "lodge",
		"qemu", "host", "qemu", "best"
	for (i = 1; i <= rows; i++) {
		r = row[i]
		line = sprintf("%-22s %-5s", r, unit[r])
		for (j = 1; j <= nm; j++) {
			m = modes[j]
			if (!((m, r) in mid))
				cell = "-"
			else
				cell = show(mid[m, r]) sprintf(" %3.0f%%", spread(m, r))
			line = line sprintf(" %14s", cell)
		}
		print line sprintf(" %6s %6s %6s %s", show(ratio(mid, "host", r)),
			show(ratio(mid, "qemu", r)), show(ratio(best, "qemu", r)), verdict(r))
	}
	print "\nEach cell: the median of its rounds, and how far they spread. Ratios are speeds:" \
		"\nabove 1 lodge is the faster (for memory: the smaller) one; the last one takes" \
		"\neach side's best round, which other load on the machine disturbs least."
	for (i = 1; i <= rows; i++)
		for (j = 1; j <= nm; j++)
			if ((modes[j], row[i]) in missing)
				print "not measured: " modes[j] " " row[i] ": " \
					missing[modes[j], row[i]]

	nc = split("exits mmio_exits io_exits insn_emulation irq_injections halt_exits irq_exits " \
		"pf_taken", counter, " ")
	print "\nKVM's counters per operation, and the VMM's CPU time"
	printf "%-22s %-11s %9s %9s %9s %9s %9s %9s %9s %9s %10s\n", "", "", "exits", "mmio",
		"pio", "emulated", "irq-inj", "halt", "host-irq", "fault", "cpu us"
	for (i = 1; i <= rows; i++)
		for (j = 2; j <= nm; j++) {
			m = modes[j]
			r = row[i]
			if (!((m, r, "exits") in cnt))
				continue
			line = sprintf("%-22s %-11s", r, m)
			for (c = 1; c <= nc; c++)
				line = line sprintf(" %9s", per_op(m, r, counter[c]))
			cnt[m, r, "cpu_us"] = 1000 * (cnt[m, r, "cpu_user_ms"] + \
				cnt[m, r, "cpu_system_ms"])
			print line sprintf(" %10s", per_op(m, r, "cpu_us"))
		}

	print "{\n \"about\": {" >json
	sep = ""
	for (k in about) {
		printf "%s  %s: %s", sep, json_text(k), json_text(about[k]) >json
		sep = ",\n"
	}
	print "\n },\n \"rows\": [" >json
	for (i = 1; i <= rows; i++) {
		r = row[i]
		printf "  {\"name\": %s, \"unit\": %s", json_text(r), json_text(unit[r]) >json
		for (j = 1; j <= nm; j++) {
			m = modes[j]
			if ((m, r) in mid)
				printf ",\n   %s: {\"median\": %s, \"min\": %s, \"max\": %s, " \
					"\"rounds\": %d", json_text(m), mid[m, r], lo[m, r],
					hi[m, r], n[m, r] >json
			else if ((m, r) in missing)
				printf ",\n   %s: {\"missing\": %s", json_text(m),
					json_text(missing[m, r]) >json
			else
				continue
			for (c = 1; c <= nc; c++)
				if ((m, r, counter[c]) in cnt)
					printf ", \"%s\": %d", counter[c],
						cnt[m, r, counter[c]] >json
			printf ", \"ops\": %d}", ops[m, r] >json
		}
		if (ratio(mid, "host", r) != "")
			printf ",\n   \"lodge_to_host\": %.3f", ratio(mid, "host", r) >json
		if (ratio(mid, "qemu", r) != "")
			printf ",\n   \"lodge_to_qemu\": %.3f", ratio(mid, "qemu", r) >json
		if (ratio(best, "qemu", r) != "")
			printf ",\n   \"lodge_to_qemu_best\": %.3f", ratio(best, "qemu", r) >json
		print "}" (i < rows ? "," : "") >json
	}
	print " ]\n}" >json
}
