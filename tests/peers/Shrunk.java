// SPDX-License-Identifier: GPL-2.0-only
// Maps a file, cuts it off, and reads what is gone: an exception, and the program lives.
import java.io.RandomAccessFile;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;

class Shrunk {
	public static void main(String[] args) throws Exception {
		RandomAccessFile f = new RandomAccessFile(args[0], "rw");
		MappedByteBuffer m = f.getChannel().map(FileChannel.MapMode.READ_WRITE, 0, 4096);

		m.get(0);
		Runtime.getRuntime().exec(new String[] { "truncate", "-s", "0", args[0] }).waitFor();
		try {
			System.out.println("read " + m.get(0));
			System.exit(1);
		} catch (InternalError e) {
			System.out.println("caught " + e);
		}
	}
}
