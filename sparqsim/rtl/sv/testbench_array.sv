// Drives an array of any dataflow from a file and writes what it does, one record per cycle.
//   +stimulus=FILE   one line of hex per item: {north_valid, valid, first, last, north data, west data}. In lockstep a line is an
//                    advance of the array. With elastic links line s is what every edge offers from cycle s on; but for stationary
//                    operands with OVERLAP, which are always offered.
//   +record=FILE     4-state words: advance, start of each PE, valid outputs, outputs, psum of each PE.
//   +cycles=N        cycles to run.   +wave=FILE   optional waveform.
`include "parameters.svh"
module testbench_array #(`PE_PARAMETERS, parameter FLOW = 0, ROWS = 2, COLS = 2, OVERLAP = 0, DEPTH = 0, LINES = 4096,
                         WEST = FLOW == 2 ? `STORED_W : XW, NORTH = FLOW == 2 ? XW : `STORED_W,
                         LINE = 4 + COLS * NORTH + ROWS * WEST) ();
    reg clk = 0, rst = 1, whole = 0;  // whole: rises at the end of a waveform, which may lack it on a full disk
    wire advance;
    wire [ROWS-1:0] west_ready;
    wire [COLS-1:0] north_ready, out_valid;
    wire [COLS*`RESULT-1:0] out_data;
    reg [ROWS-1:0] west_valid = 0, west_first = 0, west_last = 0;
    reg [ROWS*WEST-1:0] west_data = 0;
    reg [COLS-1:0] north_valid = 0;
    reg [COLS*NORTH-1:0] north_data = 0;

    generate
        if (FLOW == 0) begin : dut
            array_os #(`PE_PASS, .ROWS(ROWS), .COLS(COLS), .OVERLAP(OVERLAP), .DEPTH(DEPTH)) array(
                .clk(clk), .rst(rst), .advance(advance), .west_valid(west_valid), .west_first(west_first),
                .west_last(west_last), .west_data(west_data), .west_ready(west_ready), .north_valid(north_valid),
                .north_data(north_data), .north_ready(north_ready), .out_valid(out_valid), .out_data(out_data));
        end else begin : dut
            array_stationary #(`PE_PASS, .FLOW(FLOW), .ROWS(ROWS), .COLS(COLS), .OVERLAP(OVERLAP), .DEPTH(DEPTH)) array(
                .clk(clk), .rst(rst), .advance(advance), .west_valid(west_valid), .west_first(west_first),
                .west_data(west_data), .west_ready(west_ready), .north_valid(north_valid),
                .north_data(north_data), .north_ready(north_ready), .out_valid(out_valid), .out_data(out_data));
        end
    endgenerate

    reg [8*1024-1:0] stimulus_file, record_file, wave_file;
    reg [LINE-1:0] line;
    integer stimulus, record, cycles, cycle, found, k;
    reg [31:0] word;

    initial begin
        found = $value$plusargs("stimulus=%s", stimulus_file);
        found = $value$plusargs("record=%s", record_file);
        found = $value$plusargs("cycles=%d", cycles);
        stimulus = $fopen(stimulus_file, "r");
        record = $fopen(record_file, "wb");
        if ($value$plusargs("wave=%s", wave_file)) begin
            $dumpfile(wave_file);
            // Not the names of files, which are others in every run.
            $dumpvars(0, dut, clk, rst, whole, advance, west_valid, west_ready, west_first, west_last, west_data,
                      north_valid, north_ready, north_data, out_valid, out_data);
        end
        #1 clk = 1;
        #1 clk = 0;
        rst = 0;
        for (cycle = 0; cycle < cycles; cycle = cycle + 1) begin
            if (DEPTH != 0) offer;
            else if (cycle == 0 || moved) next_line;
            #1 write_record;
            moved = advance;
            taken_west = west_valid & west_ready;
            taken_north = north_valid & north_ready;
            clk = 1;
            #1 clk = 0;
        end
        $fclose(record);
        #1 whole = 1;
        #1 $finish(0);
    end

    // Lockstep: the whole edge moves on together.
    reg moved;
    task next_line;
        begin
            found = $fscanf(stimulus, "%h", line);
            if (found != 1) line = 0;
            north_valid = {COLS{line[LINE-1]}};
            west_valid = {ROWS{line[LINE-2]}};
            west_first = {ROWS{line[LINE-3]}};
            west_last = {ROWS{line[LINE-4]}};
            {north_data, west_data} = line[LINE-5:0];
        end
    endtask

    // Elastic: every row and column has a place of its own in the file.
    reg [LINE-1:0] lines[0:LINES-1];
    integer west_place[0:ROWS-1], north_place[0:COLS-1];
    reg [ROWS-1:0] taken_west = 0;
    reg [COLS-1:0] taken_north = 0;
    initial begin
        for (k = 0; k < ROWS; k = k + 1) west_place[k] = 0;
        for (k = 0; k < COLS; k = k + 1) north_place[k] = 0;
        for (k = 0; k < LINES; k = k + 1) lines[k] = 0;
        if (DEPTH != 0 && $value$plusargs("stimulus=%s", stimulus_file)) $readmemh(stimulus_file, lines);
    end
    task offer;
        begin
            for (k = 0; k < ROWS; k = k + 1) begin
                if (taken_west[k]) west_place[k] = west_place[k] + 1;
                line = lines[west_place[k]];
                while (west_place[k] < cycle && !line[LINE-2]) begin
                    west_place[k] = west_place[k] + 1;
                    line = lines[west_place[k]];
                end
                west_valid[k] = line[LINE-2];
                west_first[k] = line[LINE-3];
                west_last[k] = line[LINE-4];
                west_data[k*WEST+:WEST] = line[k*WEST+:WEST];
            end
            for (k = 0; k < COLS; k = k + 1) begin
                if (taken_north[k]) north_place[k] = north_place[k] + 1;
                if (FLOW != 0 && OVERLAP == 0) north_place[k] = cycle;
                line = lines[north_place[k]];
                while (FLOW == 0 && north_place[k] < cycle && !line[LINE-1]) begin
                    north_place[k] = north_place[k] + 1;
                    line = lines[north_place[k]];
                end
                north_valid[k] = line[LINE-1];
                north_data[k*NORTH+:NORTH] = line[ROWS*WEST+k*NORTH+:NORTH];
            end
        end
    endtask

    reg [(ROWS*COLS+31)/32*32-1:0] starts = 0;
    reg [ROWS*COLS*`RESULT-1:0] psums;
    reg [`RESULT-1:0] result;
    task write_record;
        begin
            word = advance;
            $fwrite(record, "%z", word);
            for (k = 0; k < ROWS * COLS; k = k + 1) starts[k] = dut.array.start[k];
            $fwrite(record, "%z", starts);
            for (k = 0; k < COLS; k = k + 32) begin
                word = out_valid >> k;
                $fwrite(record, "%z", word);
            end
            for (k = 0; k < COLS; k = k + 1) begin
                result = out_valid[k] ? out_data[k*`RESULT+:`RESULT] : 0;
                $fwrite(record, "%z", result);
            end
            for (k = 0; k < ROWS * COLS; k = k + 1) psums[k*`RESULT+:`RESULT] = dut.array.psum[k];
            $fwrite(record, "%z", psums);
        end
    endtask
endmodule
