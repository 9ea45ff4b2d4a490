// The edge unit and a PE's dot unit, without an array: all operands of a file, one line of results each.
//   +stimulus=FILE   one line of hex per step: {weights, activations}
//   +record=FILE     4-state words: the edge unit's output, whether the step takes two cycles, the values of the first and second cycle
`include "parameters.svh"
module testbench_pair #(`PE_PARAMETERS) ();
    reg [`STORED_W+XW-1:0] line;
    wire [XW-1:0] x = line[XW-1:0];
    wire [`STORED_W-1:0] raw = line[`STORED_W+XW-1:XW];
    wire [WW-1:0] data;
    reg second;
    wire [AW-1:0] a;
    wire two;
    wire signed [`VALUE-1:0] value;
    `EDGE_UNIT #(`PE_PASS) edge_unit(x, a);
    `USE_WEIGHT
    `DOT #(`PE_PASS) dot(a, data, second, two, value);

    reg [8*1024-1:0] stimulus_file, record_file;
    reg [127:0] words;
    integer stimulus, record, found;

    initial begin
        found = $value$plusargs("stimulus=%s", stimulus_file);
        found = $value$plusargs("record=%s", record_file);
        stimulus = $fopen(stimulus_file, "r");
        record = $fopen(record_file, "wb");
        while ($fscanf(stimulus, "%h", line) == 1) begin
            second = 0;
            #1 words[31:0] = a;
            words[63:32] = two;
            words[95:64] = value <<< SCALE;
            second = 1;
            #1 words[127:96] = value <<< SCALE;
            $fwrite(record, "%z", words);
        end
        $fclose(record);
        $finish(0);
    end
endmodule
