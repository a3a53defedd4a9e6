#!/bin/sh
# A camera on one host, a viewer on another. The viewer subscribes to cam as to a topic of its own host.
#
#	examples/twohosts/twohosts.sh [--loss PERCENT] [--delay TIME]
#
# On real hosts, run the lines of camera_host on one and those of viewer_host on the other, with the address of the
# first. Here each host is a network namespace, with a cable between them, if you are root; else both hosts are this
# machine. Each has a directory of objects of its own, so that they share no memory. With --loss or --delay
# (such as --loss 5 --delay 20ms) the cable is a bad line: fewer pictures arrive, and each one is whole.
set -eu
loss=0 delay=0s line=
while [ $# -gt 1 ]; do
	case $1 in
	--loss) loss=$2 ;;
	--delay) delay=$2 ;;
	*) break ;;
	esac
	line=yes
	shift 2
done
if [ $# -gt 0 ] || { [ $line ] && [ "$(id -u)" != 0 ]; }; then
	echo "usage: $0 [--loss PERCENT] [--delay TIME]; only root can choose them" >&2
	exit 2
fi
cd "$(dirname "$0")/../.."
dir=$(mktemp -d)
export PATH="$dir:$PATH"
(cd cmd && go build -o "$dir" ./samepage)

near="env SAMEPAGE_DIR=$dir/near"
far="env SAMEPAGE_DIR=$dir/far"
address=127.0.0.1
mkdir "$dir/near" "$dir/far"
clean() {
	kill $children 2>/dev/null || true
	wait
	ip netns del near$$ 2>/dev/null || true
	ip netns del far$$ 2>/dev/null || true
	rm -r "$dir"
}
children=
trap clean EXIT
# cable joins the namespaces.
cable() {
	if [ $line ]; then
		go build -o "$dir" ./test/line || return 1
		mkfifo "$dir/stays"
		"$dir/line" -loss "$loss" -delay "$delay" near$$ 10.94.0.1/24 far$$ 10.94.0.2/24 <"$dir/stays" &
		children="$children $!"
		exec 3>"$dir/stays"
		until ip -n far$$ addr show up dev line 2>/dev/null | grep -q 10.94.0.2; do
			kill -0 $! || return 1
			sleep 0.1
		done
		return
	fi
	ip -n near$$ link add v0 type veth peer name v1 netns far$$ || return 1
	ip -n near$$ addr add 10.94.0.1/24 dev v0
	ip -n far$$ addr add 10.94.0.2/24 dev v1
	ip -n near$$ link set lo up
	ip -n near$$ link set v0 up
	ip -n far$$ link set v1 up
}
if ip netns add near$$ 2>/dev/null && ip netns add far$$ && cable; then
	near="ip netns exec near$$ $near"
	far="ip netns exec far$$ $far"
	address=10.94.0.1
	echo "two network namespaces"
fi

camera_host() {
	$near samepage bridge publish cam --serve "$address:4222" --unsafe-open -q &
	children="$children $!"
	# A moving picture of 640 x 480 pixels; a real camera writes the same stream: ffmpeg -i /dev/video0 ...
	{
		echo "YUV4MPEG2 W640 H480 F25:1 Ip A1:1 C420"
		i=0
		while [ $i -lt 75 ]; do
			echo FRAME
			head -c 460800 /dev/zero | tr '\0' "\\$(printf %o $((64 + i)))"
			i=$((i + 1))
		done
	} | $near samepage pub cam --y4m --rate 25 --times --wait 0 -q &
	children="$children $!"
}

viewer_host() {
	$far samepage bridge subscribe cam --nats "nats://$address:4222" -q &
	children="$children $!"
	# Or: samepage sub cam --y4m | ffplay -
	$far samepage sub cam --png "$dir/cam-%03d.png" -q
	echo "the viewer got $(ls "$dir" | grep -c '^cam-.*png$') pictures"
}

camera_host
viewer_host
