// Boost.Interprocess message_queue between two processes that poll: try_send and
// try_receive, with PAUSE in between. In nanoseconds a message, one way.
//
//   boostqueue [-size N] [-stream 1]
//
// By default messages go to and fro. With -stream 1 they go one way, and each is written
// completely before it is sent. The queue copies a message in and out.
#include "../limits/limit.h"
#include <boost/interprocess/ipc/message_queue.hpp>
#include <memory>
#include <string>
#include <vector>

using boost::interprocess::message_queue;

// make creates a queue for this process and its child. It removes the name at once, since
// the child has the mapping.
static std::unique_ptr<message_queue> make(const char *what, size_t depth, size_t size)
{
	std::string name = "samepage-bench-" + std::to_string(getpid()) + what;
	message_queue::remove(name.c_str());
	std::unique_ptr<message_queue> q(
	    new message_queue(boost::interprocess::create_only, name.c_str(), depth, size));
	message_queue::remove(name.c_str());
	return q;
}

static void send(message_queue &q, const std::vector<char> &m)
{
	while (!q.try_send(m.data(), m.size(), 0))
		relax();
}

static void receive(message_queue &q, std::vector<char> &m)
{
	message_queue::size_type n;
	unsigned priority;
	while (!q.try_receive(m.data(), m.size(), n, priority))
		relax();
}

int main(int argc, char **argv)
{
	struct plan p = planOf(argc, argv, "-size -stream ");
	size_t size = (size_t)option(argc, argv, "-size", 64);
	bool stream = option(argc, argv, "-stream", 0) != 0;
	size_t depth = !stream ? 1 : size < 65536 ? 1024 : 4;
	auto there = make("-there", depth, size), back = make("-back", 1, size);
	std::vector<char> m(size);
	pid_t child = otherProcess(&p);
	for (int n = 0; child == 0; n++)
		if (stream) {
			memset(m.data(), n, size);
			send(*there, m);
		} else {
			receive(*there, m);
			send(*back, m);
		}
	if (!stream) {
		PINGPONG("boostqueue", p, size < 65536 ? 100 : 1, {
			send(*there, m);
			receive(*back, m);
		});
		end(child);
		return 0;
	}
	int batch = size < 65536 ? 1000 : 5;
	for (int r = -1; r < p.rounds; r++) {
		long n = 0;
		double begun = now(), t;
		do {
			for (int i = 0; i < batch; i++) {
				receive(*there, m);
				readLines(m.data(), size);
			}
			n += batch;
			t = now() - begun;
		} while (t < lengthOf(&p, r));
		if (r >= 0)
			print("boostqueue", t * 1e9 / n, NULL);
	}
	end(child);
	return 0;
}
