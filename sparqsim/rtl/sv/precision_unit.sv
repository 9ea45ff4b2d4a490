// How far a step of bit-serial activations has to go: {last position, activations}. The layer's ACTIVATION_BITS, or (DYNAMIC) what the largest
// magnitude among them needs, and a sign.
module precision_unit #(parameter LANES = 16, SIGNED = 0, ACTIVATION_BITS = 8, DYNAMIC = 0) (
    input [8*LANES-1:0] x,
    output [8*LANES+2:0] a
);
    wire [7:0] ones[0:LANES];  // positions where a magnitude of an earlier lane has a one
    assign ones[0] = 0;
    genvar k;
    generate
        for (k = 0; k < LANES; k = k + 1) begin : lane
            wire [7:0] activation = x[8*k+:8];
            wire [7:0] magnitude = (SIGNED != 0) & activation[7] ? -activation : activation;
            assign ones[k+1] = ones[k] | magnitude;
        end
    endgenerate

    reg [3:0] highest;
    integer position;
    always_comb begin
        highest = 0;
        for (position = 1; position < 8; position = position + 1)
            if (ones[LANES][position]) highest = position;
    end
    wire [3:0] needed = highest + (SIGNED != 0);
    localparam [3:0] LIMIT = ACTIVATION_BITS - 1;
    wire [3:0] last = (DYNAMIC == 0) | needed > LIMIT ? LIMIT : needed;
    assign a = {last[2:0], x};
endmodule
