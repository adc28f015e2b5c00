# SPDX-License-Identifier: GPL-2.0-or-later
#
# The lines that the programs wrote (slurped), $rows and $machine: all results as one document. And as
# Markdown, with "markdown" of it.

def results:
	. as $lines
	| { machine: $machine[0],
	    missed: ([$lines[] | select(.met == false)] | length),
	    rows: [ $rows[0][] | . as $row
		    | [$lines[] | select(.row == $row.row) | del(.row)] as $mine
		    | select(($mine | length) > 0)
		    | $row + { targets: [$mine[] | select(.target)], series: [$mine[] | select(.series)],
			       notes: [$mine[] | select(.note)] } ] };

def figure:
	if . == null then "-"
	elif . >= 100 or . == floor then (. * 10 | round / 10 | tostring)
	else (. * 1000 | round / 1000 | tostring) end;

def verdict:
	if .met then "met" elif .failed then "**failed**: \(.failed)"
	elif .not_measured then "**not measured**: \(.not_measured)" else "**missed**" end;

def markdown_head:
	"| # | what | against | target |", "|---|---|---|---|",
	(.rows[] | "| \(.row) | \(.what) | \(.against) | \(.target) |");

def markdown_targets:
	"| # | on | figure | value | target | |", "|---|---|---|---|---|---|",
	(.rows[] | .row as $row | .targets[]
	 | "| \($row) | \(.backing) | \(.target) | \(.value | figure) | \(if .sense then "\(.sense) \(.limit | figure)" else "" end) | \(verdict) |");

def markdown_series:
	"| # | on | series | at | median | min | max | n |", "|---|---|---|---|---|---|---|---|",
	(.rows[] | .row as $row | .series[]
	 | "| \($row) | \(.backing) | \(.series) | \(if .x then (.x | figure) else "" end) | \(.median | figure) \(.unit) | \(.min | figure) | \(.max | figure) | \(.n) |");

def markdown:
	(.machine | "Measured \(.date), commit \(.commit)\(if .quick then ", QUICK" else "" end), on \(.cores) cores of \(.cpu), \(.memory), load \(.load_at_start) at the start. Guest: \(.guest). LVM \(.lvm), \(.fio), qemu-img \(.["qemu-img"])."),
	"", "\(.missed) targets missed.", "",
	markdown_head, "", markdown_targets, "",
	([.rows[] | .row as $row | .notes[] | "- row \($row), \(.backing): \(.note)"] | unique[]), "",
	markdown_series;

# A row's targets on one backing: how many are met, and the others by name.
def outcome:
	([.[] | select(.met)] | length) as $met
	| (if $met == length then "met" else "\($met) of \(length) met" end)
	+ ([.[] | select(.met | not) | "; \(.target)" + (if .value then ": \(.value | figure)" else "" end)] | join(""));

# What README shows, with "readme": a line for each row.
def readme:
	(.machine | "On \(.cores) cores of \(.cpu) (\(.date), commit \(.commit)), in User-Mode Linux:"), "",
	"| what | against | target | outcome |", "|---|---|---|---|",
	(.rows[] | "| \(.what) | \(.against) | \(.target) | \([.targets | group_by(.backing)[] | "\(.[0].backing): \(outcome)"] | join("; ")) |");
