# What Python says of every signal's handler.
# where: all
import signal

print([(s, str(signal.getsignal(s))) for s in signal.valid_signals()] if hasattr(signal, 'valid_signals') else 0)
