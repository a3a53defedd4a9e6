// iceoryx 2.0 between two processes that poll: loan, publish, take, release.
// In nanoseconds a message, one way. It needs a running RouDi.
//
//   iceoryx [-size N] [-stream 1]
//
// By default messages go to and fro, and the first line of each is touched. With -stream 1
// they go one way, and each is written completely in place and read in place. The publisher
// of a stream waits for the reader.
#include "../limits/limit.h"
#include <atomic>
#include <iceoryx_hoofs/log/logmanager.hpp>
#include <iceoryx_posh/popo/untyped_publisher.hpp>
#include <iceoryx_posh/popo/untyped_subscriber.hpp>
#include <iceoryx_posh/runtime/posh_runtime.hpp>
#include <string>

// shared by fork: what iceoryx itself does not report.
struct shared {
	std::atomic<int> ready; // processes that may begin
	std::atomic<int> stop;
};

static iox::capro::IdString_t id(const std::string &s) { return {iox::cxx::TruncateToCapacity, s.c_str()}; }

// Side is one process's publisher and subscriber.
class Side
{
  public:
	Side(const std::string &name, const char *out, const char *in, size_t size, uint64_t depth, bool wait, shared *s)
	    : size_(size), s_(s), out_(description(name, out), publisherOptions(wait)),
	      in_(description(name, in), subscriberOptions(depth, wait))
	{
		while (in_.getSubscriptionState() != iox::SubscribeState::SUBSCRIBED || !out_.hasSubscribers())
			usleep(1000);
		s_->ready++;
		while (s_->ready < 2)
			usleep(1000);
	}

	// send returns false if it was told to stop.
	bool send(int n, bool whole)
	{
		for (;;) {
			void *p = nullptr;
			out_.loan(size_).and_then([&](void *&payload) { p = payload; });
			if (p != nullptr) {
				if (whole)
					memset(p, n, size_);
				else
					*static_cast<int *>(p) = n;
				out_.publish(p);
				return true;
			}
			if (s_->stop)
				return false;
			relax();
		}
	}

	bool receive(bool whole)
	{
		for (;;) {
			const void *p = nullptr;
			in_.take().and_then([&](const void *payload) { p = payload; });
			if (p != nullptr) {
				readLines(p, whole ? size_ : 64);
				in_.release(p);
				return true;
			}
			if (s_->stop)
				return false;
			relax();
		}
	}

  private:
	static iox::capro::ServiceDescription description(const std::string &name, const char *what)
	{
		return {id("samepage-bench"), id(name), id(what)};
	}

	static iox::popo::PublisherOptions publisherOptions(bool wait)
	{
		iox::popo::PublisherOptions o;
		if (wait)
			o.subscriberTooSlowPolicy = iox::popo::ConsumerTooSlowPolicy::WAIT_FOR_CONSUMER;
		return o;
	}

	static iox::popo::SubscriberOptions subscriberOptions(uint64_t depth, bool wait)
	{
		iox::popo::SubscriberOptions o;
		o.queueCapacity = depth;
		if (wait)
			o.queueFullPolicy = iox::popo::QueueFullPolicy::BLOCK_PRODUCER;
		return o;
	}

	size_t size_;
	shared *s_;
	iox::popo::UntypedPublisher out_;
	iox::popo::UntypedSubscriber in_;
};

int main(int argc, char **argv)
{
	struct plan p = planOf(argc, argv, "-size -stream ");
	size_t size = (size_t)option(argc, argv, "-size", 64);
	bool stream = option(argc, argv, "-stream", 0) != 0;
	uint64_t depth = !stream ? 1 : size < 65536 ? 256 : 8;
	auto *s = new (sharedMemory(sizeof(shared))) shared{};
	std::string name = "samepage-bench-" + std::to_string(getpid());
	pid_t child = otherProcess(&p);
	bool other = child == 0;
	iox::log::LogManager::GetLogManager().SetDefaultLogLevel(iox::log::LogLevel::kError);
	iox::runtime::PoshRuntime::initRuntime(id(name + (other ? "-b" : "-a")));
	Side side(name, other ? "back" : "there", other ? "there" : "back", size, depth, stream, s);
	if (other) {
		if (stream)
			for (int n = 0; !s->stop && side.send(n, true);)
				n++;
		else
			while (side.receive(false) && side.send(1, false)) {
			}
		return 0;
	}
	if (!stream) {
		PINGPONG("iceoryx", p, size < 65536 ? 100 : 10, {
			side.send(1, false);
			side.receive(false);
		});
	} else {
		int batch = size < 65536 ? 1000 : 10;
		for (int r = -1; r < p.rounds; r++) {
			long n = 0;
			double begun = now(), t;
			do {
				for (int i = 0; i < batch; i++)
					side.receive(true);
				n += batch;
				t = now() - begun;
			} while (t < lengthOf(&p, r));
			if (r >= 0)
				print("iceoryx", t * 1e9 / n, NULL);
		}
	}
	// A publisher may wait for room: reading on ends that wait.
	s->stop = 1;
	while (waitpid(child, NULL, WNOHANG) == 0) {
		side.receive(false);
	}
	return 0;
}
